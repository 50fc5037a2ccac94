#ifndef SUPERVISOR_POLICY_GROWTH_H
#define SUPERVISOR_POLICY_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How fast one cgroup's usage grows.
 *
 * The rate is the steepest rise from any reading of the last GROWTH_WINDOW_MS to
 * the newest one.  Readings less than GROWTH_FLOOR_MS apart count as that far
 * apart, so that a burst is seen at the first reading after it and yet one
 * populated span is not taken for a flood.  What shrank and grows again is
 * measured from its lowest point.  A rise of noise_bytes or less is no growth: a
 * process that starts, or one request, is no trend.
 *
 * Readings come every 10 ms near the wall and every second far from it.  The
 * ring keeps one per GROWTH_SPACING_MS and the newest, which the next one
 * replaces while it is closer than that to the one before it.
 */

#define GROWTH_WINDOW_MS 1000U
#define GROWTH_FLOOR_MS 250U
#define GROWTH_SPACING_MS 25U
#define GROWTH_READINGS 42U
#define GROWTH_NEVER_MS UINT64_MAX

struct growth_reading {
	uint64_t at_ms;
	uint64_t bytes;
};

struct growth {
	struct growth_reading reading[GROWTH_READINGS]; /* a ring, oldest at first */
	size_t first;
	size_t count;
	uint64_t before_bytes; /* the reading before the newest, kept or not */
};

/* now_ms may repeat (the newer reading wins); where it runs backwards the ring starts anew. */
void growth_step(struct growth *growth, uint64_t now_ms, uint64_t bytes);

/* 0 while it does not grow. */
uint64_t growth_bytes_per_s(const struct growth *growth, uint64_t noise_bytes);

/* The newest reading is below the one before it. */
bool growth_is_falling(const struct growth *growth);

/* How long headroom_bytes last at this rate; GROWTH_NEVER_MS for a rate of 0. */
uint64_t growth_time_to_wall_ms(uint64_t bytes_per_s, uint64_t headroom_bytes);

#endif
