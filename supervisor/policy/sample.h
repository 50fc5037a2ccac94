#ifndef SUPERVISOR_POLICY_SAMPLE_H
#define SUPERVISOR_POLICY_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/*
 * What the supervisor knows at one moment: plain numbers, copied and checked
 * before they come here, so that policy never meets a file or a shared page.
 *
 * A number that could not be read is 0 and its known_ flag false; a limit that
 * is not set is SAMPLE_NO_LIMIT.
 */

#define SAMPLE_NO_LIMIT UINT64_MAX

/*
 * Limit and usage of one and the same cgroup.  reclaimable_bytes is what the
 * kernel takes back by itself before it kills, by memory.stat's file lists, which
 * hold the lazily freed pages too and, unlike the heaps' own count of these,
 * forget the ones that the kernel has taken.  Where it is not known the heaps'
 * lazy_bytes stand in for it.  On these lists the kernel keeps anonymous memory, listed_bytes of it
 * (0 = unknown), that was lazily freed and is in use again, until it looks at it: what the heaps do
 * not have lazy of it is not taken for reclaimable.  A limit of SAMPLE_NO_LIMIT leaves the other
 * numbers true.
 */
struct wall_sample {
	uint64_t limit_bytes;
	uint64_t current_bytes;
	bool reclaimable_known;
	uint64_t reclaimable_bytes;
	uint64_t cache_bytes; /* with what the kernel takes back less readily */
	uint64_t listed_bytes;
};

/* Cumulative, from memory.events; only ever rise while the cgroup lives. */
struct events_sample {
	bool known;
	uint64_t high;
	uint64_t max;
	uint64_t oom;
	uint64_t oom_kill;
};

/* Cumulative stall; read_ms is when it was read, which is rarer than ticks are. */
struct stall_sample {
	bool known;
	uint64_t read_ms;
	uint64_t some_us;
	uint64_t full_us;
};

/* Sums over the service's link slots. */
struct heap_sample {
	uint32_t processes; /* with a slot */
	uint64_t in_use_bytes;
	uint64_t free_slot_bytes; /* of these, free in pages that hold live memory too */
	uint64_t idle_dirty_bytes;
	uint64_t lazy_bytes;
	uint64_t released_bytes; /* all causes, since the service's first process */
	/* Of these, what surely was not left to the kernel: usage has fallen by it. */
	uint64_t gone_bytes;
	uint64_t wants_bytes; /* what growing heaps wait for at the gate */
	/* What it costs to give a page back, and to have it back as often as was seen; 0 = not
	 * known yet. */
	uint64_t page_ns;
	/* What of the last plan's credit nobody has taken yet; UINT64_MAX = it is without limit. */
	uint64_t credit_left_bytes;
	/* Credit that was taken and is resident by now, cumulative, as far as the heaps tell: what
	 * is not made resident at once is not in it. */
	uint64_t populated_bytes;
	bool answered; /* every process has done the last release asked for, or none was asked for
			*/
};

struct service_sample {
	bool running;
	struct wall_sample own; /* the leaf's own memory.max; SAMPLE_NO_LIMIT where it has none */
	uint64_t current_bytes; /* the leaf's usage; 0 where the service has no leaf */
	bool can_brake;         /* it has a leaf whose memory.high we may write */
	struct events_sample events;
	struct stall_sample stall;
	struct heap_sample heap;
	/* What the operator asked for since the last step, LEVEL_CALM = nothing, and how much,
	 * 0 = all. */
	enum level manual;
	uint64_t manual_bytes;
};

/* What is known of memory.reclaim. */
struct reclaim_sample {
	bool possible;      /* we may write it, and the kernel has it as far as is known */
	bool under_way;     /* what was asked for is not answered yet */
	uint64_t got_bytes; /* what usage fell by in the last one that was */
};

/* What all services have in common. */
struct sample {
	/* The tightest wall that all services have in common, and its own events and stall. */
	struct wall_sample shared;
	struct events_sample shared_events;
	struct stall_sample shared_stall;
	bool stall_is_polled; /* some of the stall, as no trigger tells of it */
	/* How long processes that are not in the sample may take to give back; 0 = there are none.
	 */
	uint64_t unseen_ms;
	struct reclaim_sample reclaim;
};

#endif
