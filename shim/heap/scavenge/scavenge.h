#ifndef SHIM_HEAP_SCAVENGE_SCAVENGE_H
#define SHIM_HEAP_SCAVENGE_SCAVENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Giving back: heap_scavenge, one bounded pass at a level.
 *
 *	calm, lazy	idle dirty pages over the cushion are MADV_FREEd: lazy
 *	eager		idle dirty pages over the cushion, and all lazy ones,
 *			become clean; then pages with no live slot inside idle
 *			part-used slabs become holes
 *	full		as eager with no cushion, and every slab counts as idle
 *
 * Before that, at every level, idle thread caches are emptied and idle empty
 * slabs go back to the page heap.
 *
 * A pass looks for whole chunks first, then for runs of 64 KiB and more, and for
 * shorter ones with what is left of max_bytes, highest address first in each turn.  A batch of
 * ranges is taken in transit, advised without a lock, and given back in its new state.
 *
 * A partial MADV_DONTNEED inside a transparent huge page frees nothing until
 * the kernel splits the page, and one touched slot makes 2 MiB resident that
 * nobody asked the gate for.  So os_reserve keeps huge pages out of the heap, unless
 * huge_use has them in; then the turns above leave those alone of which
 * a part lives, and releases at eager and full have two more in which they don't (huge.h).
 */

/* With the numbers of the link. */
enum heap_level { HEAP_CALM, HEAP_LAZY, HEAP_EAGER, HEAP_FULL, HEAP_LEVELS };

/*
 * One bounded piece of giving back: at most max_bytes are advised (and less than a
 * huge page more, where there are such), no lock is held over a system call.  cushion_bytes of idle
 * dirty memory are kept (0 at full); only pages that idled since before idle_before_ns go
 * (UINT64_MAX: any).
 *
 * Free slots are pages only once they are out of the caches and all free slots
 * of their page are together: caches and slabs that nobody used since before
 * slabs_idle_before_ns (0: never) are emptied, as is of those in use what was not
 * needed (cache.h), and from eager on holes are made where pages idled (holes.h).  full
 * does that with all of them.
 *
 * Several threads may do this at once; one in the background then leaves it to
 * the others, whom it would only keep waiting with a lock in hand.  calm does
 * what lazy does.
 */
struct hunt_ages;

/* Where in the heap a search over several passes is.  Zeros: at its beginning, or its end. */
struct heap_place {
	uintptr_t below;
	unsigned turn;
	bool tired; /* the last pass had looked at so much that it left the rest to the next one */
};

/*
 * Passes that belong together.  The first empties caches and slabs, the others leave
 * them alone, so that what a request costs the threads that allocate does not grow with its bytes.
 * Once nothing is left and something went, one more pass empties them again, for what came
 * back meanwhile.  All zero before the first pass.
 */
struct heap_request {
	uint32_t drains;
	bool drained;        /* nothing is to be emptied by the next pass */
	uint64_t gone_bytes; /* since they were */
};

struct heap_pass {
	enum heap_level level;
	uint64_t max_bytes;
	uint64_t cushion_bytes;
	uint64_t idle_before_ns; /* of os_now_ns() */
	uint64_t slabs_idle_before_ns;
	/* NULL: every pass stands for itself. */
	struct heap_request *request;
	/* For the background: by size of run instead of idle_before_ns, and no holes. */
	const struct hunt_ages *ages;
	bool without_holes;
	struct heap_place
		*place; /* go on there, and say how far it was; NULL: from the beginning */
	/* Out: */
	uint64_t lazy_bytes;  /* went from dirty to lazy */
	uint64_t clean_bytes; /* went from dirty or lazy to not resident */
	bool more;            /* there is more to do at this level */
};

/* What made the heap give back; the index of released_bytes. */
enum heap_cause {
	HEAP_BACKGROUND,
	HEAP_GROWTH,
	HEAP_BY_LAZY,
	HEAP_BY_EAGER,
	HEAP_BY_FULL,
	HEAP_CAUSES
};

void heap_scavenge(struct heap_pass *pass, enum heap_cause cause);

/* In the child of a fork: the passes of threads that are not there are over. */
void scavenge_after_fork(void);

struct scavenge_stats {
	uint64_t released_bytes[HEAP_CAUSES];
	uint64_t advise_calls;
	uint64_t advise_ns;
};

void scavenge_stats(struct scavenge_stats *stats);

#endif
