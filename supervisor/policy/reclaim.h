#ifndef SUPERVISOR_POLICY_RECLAIM_H
#define SUPERVISOR_POLICY_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When the kernel is asked to take back what it can (memory.reclaim), and how much.
 *
 * The kernel does that by itself when a limit is hit, and the thread that allocates waits for it.
 * So when headroom is below full's threshold and the heaps behind the wall have nothing left to
 * give, free memory is brought up to that threshold in the background:
 *
 *   - first by what costs nobody anything: lazily freed pages, cache that nobody uses, slab.  It
 *     counts as headroom already, and becomes free memory;
 *   - by cache in use only while somebody waits for memory that nobody has (shortage.h).  It comes
 *     back as reads from the disk.
 *
 * Heaps give back their lazily freed pages themselves, so those that are left belong to processes
 * that do not answer, or to other allocators.  Below a shared wall the service that has most of
 * them is first.
 *
 * A step is at most 1/RECLAIM_STEP_SHARE of the limit and has RECLAIM_MS; one is under way at a
 * time.  What it brought is measured by usage.  The next one follows after a rest of
 * RECLAIM_REST_MS.  The rest doubles, up to RECLAIM_REST_MOST_MS, after a step that brought less
 * than half of what was asked for, and when half of what it brought has come back as cache until
 * the next one is due: files that are read again and again are left where they are.
 */

#define RECLAIM_STEP_SHARE 16U
#define RECLAIM_LEAST_BYTES ((uint64_t)1024 * 1024)
#define RECLAIM_MS 1000U
#define RECLAIM_REST_MS 500U
#define RECLAIM_REST_MOST_MS 60000U

/* One wall in one step. */
struct reclaim_view {
	bool possible;      /* the kernel can be asked, and nothing is under way */
	bool under_way;     /* what was asked for last, by whomever */
	uint64_t got_bytes; /* what usage fell by in the last one that is over */
	bool has_nothing;   /* the heaps */
	bool is_short;      /* a shortage is concluded */
	uint64_t headroom_bytes;
	uint64_t free_bytes;
	uint64_t wanted_bytes; /* full's threshold */
	uint64_t limit_bytes;
	uint64_t unused_bytes; /* what costs nobody anything */
	uint64_t used_bytes;   /* cache in use */
};

/* Of one wall, across steps. */
struct reclaim {
	bool asked;   /* and not answered yet */
	bool watched; /* answered, and it may come back as cache */
	uint64_t asked_bytes;
	uint64_t got_bytes;
	uint64_t cache_bytes; /* when it was answered */
	uint32_t rest_ms;
	uint64_t next_ms;
};

/* What to ask for now; 0 = nothing. */
uint64_t reclaim_judge(struct reclaim *reclaim, const struct reclaim_view *view, uint64_t now_ms);

#endif
