#include "supervisor/policy/wall.h"

#include "supervisor/policy/fraction.h"

struct wall wall_step(struct growth *growth, const struct wall_sample *sample, uint64_t lazy_bytes,
	uint64_t now_ms)
{
	struct wall wall = {
		.exists = sample->limit_bytes != SAMPLE_NO_LIMIT,
		.reclaimable_known = sample->reclaimable_known,
		.limit_bytes = sample->limit_bytes,
		.free_bytes = UINT64_MAX,
		.headroom_bytes = UINT64_MAX,
		.time_to_wall_ms = GROWTH_NEVER_MS,
	};
	uint64_t reclaimable_bytes =
		sample->reclaimable_known ? sample->reclaimable_bytes : lazy_bytes;
	uint64_t used_bytes = fraction_less(sample->current_bytes, reclaimable_bytes);
	growth_step(growth, now_ms, used_bytes);
	if (!wall.exists) {
		wall.bytes_per_s = growth_bytes_per_s(growth, 0);
		return wall;
	}
	wall.bytes_per_s = growth_bytes_per_s(growth, wall.limit_bytes / WALL_NOISE_SHARE);
	wall.free_bytes = fraction_less(sample->limit_bytes, sample->current_bytes);
	wall.headroom_bytes = fraction_less(sample->limit_bytes, used_bytes);
	wall.time_to_wall_ms = growth_time_to_wall_ms(wall.bytes_per_s, wall.headroom_bytes);
	return wall;
}
