#ifndef SUPERVISOR_LINK_SLOTS_H
#define SUPERVISOR_LINK_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/protocol.h"

/*
 * What is believed of the slots of one link.
 *
 * A slot counts while its process lives, which is looked up in /proc: the pid
 * must be there, not be a zombie, and have been started at the tick in the
 * owner word.  That costs a file per process, so a known owner is looked up again
 * only after LINK_SLOTS_TRUST_MS, or when the caller suspects a death.
 *
 * Counters that may only rise are kept as last seen, and one that falls has
 * started anew (exec keeps pid and start time and clears the slot): what it had
 * reached goes to retired, as it does when the process dies.  So the sums never
 * fall, whatever is written.
 */

#define LINK_SLOTS_TRUST_MS 250

enum link_counter {
	LINK_RELEASED_BACKGROUND,
	LINK_RELEASED_GROWTH,
	LINK_RELEASED_LAZY,
	LINK_RELEASED_EAGER,
	LINK_RELEASED_FULL,
	LINK_ADVISE_CALLS,
	LINK_ADVISE_NS,
	LINK_REFAULT_BYTES,
	LINK_REFAULT_TOUCHED,
	LINK_REGRET_RELEASE,
	LINK_REGRET_HOLD,
	LINK_BACKGROUND_CPU_NS,
	LINK_GATE_WAITS,
	LINK_GATE_TIMEOUTS,
	LINK_GATE_WAIT_NS,
	LINK_COUNTERS
};

enum link_gauge {
	LINK_IN_USE,
	LINK_IDLE_DIRTY,
	LINK_LAZY_BYTES,
	LINK_CLEAN,
	LINK_METADATA,
	LINK_WANTS,
	LINK_GAUGES
};

struct link_seen {
	uint64_t owner;
	uint64_t checked_ms;
	uint64_t counter[LINK_COUNTERS];
};

struct link_slots {
	struct link_slot *slot; /* the mapping, LINK_SLOTS of them */
	struct link_seen *seen; /* as many, untouched pages cost nothing */
	bool suspect;
	uint64_t retired[LINK_COUNTERS];
	/* Of the last read: */
	uint32_t processes;
	uint32_t threads;
	bool answered;
	uint64_t gauge[LINK_GAUGES];
	uint64_t counter[LINK_COUNTERS];
	uint64_t break_even_ns; /* the longest: a sum of them means nothing */
};

/* 0 or -ENOMEM. */
int link_slots_init(struct link_slots *slots, struct link_slot *slot);
void link_slots_fini(struct link_slots *slots);

/* One reading is begin, any number of slots in rising order, end.  answered becomes whether every
 * process with a thread has done asked_sequence. */
void link_slots_begin(struct link_slots *slots);
void link_slots_visit(struct link_slots *slots, size_t index, int proc_fd, uint32_t asked_sequence,
	uint64_t now_ms);
void link_slots_end(struct link_slots *slots);

uint64_t link_slots_add(uint64_t a, uint64_t b); /* saturating */

#endif
