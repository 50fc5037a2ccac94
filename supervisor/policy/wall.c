/* Headroom and time to one wall. */
#include "supervisor/policy/wall.h"

#include "supervisor/policy/fraction.h"

/* Usage without what is reclaimable, of what the file lists hold. */
static uint64_t without(
	const struct wall_sample *sample, uint64_t reclaimable_bytes, uint64_t lazy_bytes)
{
	uint64_t reused_bytes = fraction_less(sample->listed_bytes, lazy_bytes);
	return fraction_less(sample->current_bytes,
		sample->reclaimable_known ? fraction_less(reclaimable_bytes, reused_bytes)
					  : lazy_bytes);
}

static uint64_t used(const struct wall_sample *sample, uint64_t lazy_bytes)
{
	return without(sample, sample->reclaimable_bytes, lazy_bytes);
}

/* What growth is measured of. */
static uint64_t grown(const struct wall_sample *sample, uint64_t lazy_bytes)
{
	return without(sample, sample->cache_bytes, lazy_bytes);
}

/* cgroup_text_reclaimable() counts half of the cache in use as reclaimable. */
static uint64_t used_cache(const struct wall_sample *sample)
{
	uint64_t half_bytes = fraction_less(sample->cache_bytes, sample->reclaimable_bytes);
	return sample->reclaimable_known ? fraction_plus(half_bytes, half_bytes) : 0;
}

static uint64_t unused_cache(const struct wall_sample *sample, uint64_t lazy_bytes)
{
	if (!sample->reclaimable_known)
		return lazy_bytes;
	return fraction_less(fraction_less(sample->cache_bytes, used_cache(sample)),
		fraction_less(sample->listed_bytes, lazy_bytes));
}

uint64_t wall_headroom_bytes(const struct wall_sample *sample, uint64_t lazy_bytes)
{
	if (sample->limit_bytes == SAMPLE_NO_LIMIT)
		return UINT64_MAX;
	return fraction_less(sample->limit_bytes, used(sample, lazy_bytes));
}

bool wall_is_tighter(const struct wall_sample *sample, const struct wall_sample *than)
{
	return wall_headroom_bytes(sample, 0) < wall_headroom_bytes(than, 0);
}

uint64_t wall_time_ms(
	const struct growth *growth, const struct wall_sample *sample, uint64_t lazy_bytes)
{
	if (sample->limit_bytes == SAMPLE_NO_LIMIT)
		return GROWTH_NEVER_MS;
	uint64_t bytes_per_s = growth_bytes_per_s(growth, sample->limit_bytes / WALL_NOISE_SHARE);
	return growth_time_to_wall_ms(bytes_per_s, wall_headroom_bytes(sample, lazy_bytes));
}

struct wall wall_step(struct growth *growth, const struct wall_sample *sample, uint64_t lazy_bytes,
	uint64_t now_ms)
{
	struct wall wall = {
		.exists = sample->limit_bytes != SAMPLE_NO_LIMIT,
		.reclaimable_known = sample->reclaimable_known,
		.limit_bytes = sample->limit_bytes,
		.used_bytes = used(sample, lazy_bytes),
		.free_bytes = UINT64_MAX,
		.growable_bytes = UINT64_MAX,
		.headroom_bytes = wall_headroom_bytes(sample, lazy_bytes),
		.time_to_wall_ms = GROWTH_NEVER_MS,
	};
	uint64_t grown_bytes = grown(sample, lazy_bytes);
	wall.grown_bytes = grown_bytes;
	growth_step(growth, now_ms, grown_bytes);
	if (!wall.exists) {
		wall.bytes_per_s = growth_bytes_per_s(growth, 0);
		return wall;
	}
	wall.bytes_per_s = growth_bytes_per_s(growth, wall.limit_bytes / WALL_NOISE_SHARE);
	wall.free_bytes = fraction_less(sample->limit_bytes, sample->current_bytes);
	wall.growable_bytes = fraction_less(sample->limit_bytes, grown_bytes);
	wall.unused_cache_bytes = unused_cache(sample, lazy_bytes);
	wall.used_cache_bytes = used_cache(sample);
	wall.time_to_wall_ms = wall_time_ms(growth, sample, lazy_bytes);
	return wall;
}
