#ifndef SUPERVISOR_POLICY_WALL_H
#define SUPERVISOR_POLICY_WALL_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/policy/growth.h"
#include "supervisor/policy/sample.h"

/*
 * One wall as of one step.
 *
 * Used is what only the services can give back: usage without what the kernel takes by
 * itself, so that a lazily freed page is room.  Growth is that of usage without any cache: files
 * may be read or written as fast as the disk can, and memory that the wall could be hit with does
 * not grow.  Nor is it growth to rise by less than 1/WALL_NOISE_SHARE of the limit within growth's
 * window.
 */

#define WALL_NOISE_SHARE 64U

struct wall {
	bool exists;
	bool reclaimable_known;
	uint64_t limit_bytes; /* UINT64_MAX where it does not exist; so are the next three */
	uint64_t used_bytes;
	uint64_t free_bytes;     /* limit less usage */
	uint64_t headroom_bytes; /* limit less used */
	uint64_t growable_bytes; /* limit less grown */
	uint64_t grown_bytes;    /* usage without any cache; growth is that of this */
	/* Of what the kernel could take: what nobody misses, lazily freed pages with it, and file
	 * cache that is in use or has to be written first. */
	uint64_t unused_cache_bytes;
	uint64_t used_cache_bytes;
	uint64_t bytes_per_s;
	uint64_t time_to_wall_ms; /* GROWTH_NEVER_MS */
};

/* Limit less used; UINT64_MAX where there is no limit.  lazy_bytes: of the heaps behind this wall.
 */
uint64_t wall_headroom_bytes(const struct wall_sample *sample, uint64_t lazy_bytes);

/* Whether the first has a limit, and less headroom than the second, as far as the kernel tells. */
bool wall_is_tighter(const struct wall_sample *sample, const struct wall_sample *than);

/* How long the room below that wall lasts at the growth that was seen of one with the same usage;
 * GROWTH_NEVER_MS. */
uint64_t wall_time_ms(
	const struct growth *growth, const struct wall_sample *sample, uint64_t lazy_bytes);

/* Takes the reading into *growth too.  lazy_bytes: of the heaps behind this wall. */
struct wall wall_step(struct growth *growth, const struct wall_sample *sample, uint64_t lazy_bytes,
	uint64_t now_ms);

#endif
