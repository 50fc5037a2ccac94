/* How fast usage grows. */
#include "supervisor/policy/growth.h"

#include "supervisor/policy/fraction.h"

/* The one that came back readings before the newest. */
static const struct growth_reading *reading_at(const struct growth *growth, size_t back)
{
	return &growth->reading[(growth->first + growth->count - 1 - back) % GROWTH_READINGS];
}

static void reading_push(struct growth *growth, uint64_t now_ms, uint64_t bytes)
{
	if (growth->count == GROWTH_READINGS) {
		growth->first = (growth->first + 1) % GROWTH_READINGS;
		growth->count--;
	}
	growth->count++;
	growth->reading[(growth->first + growth->count - 1) % GROWTH_READINGS] =
		(struct growth_reading){.at_ms = now_ms, .bytes = bytes};
}

void growth_step(struct growth *growth, uint64_t now_ms, uint64_t bytes)
{
	if (growth->count > 0 && now_ms < reading_at(growth, 0)->at_ms)
		growth->count = 0;
	if (growth->count == 0) {
		growth->before_bytes = bytes;
		reading_push(growth, now_ms, bytes);
		return;
	}
	const struct growth_reading *newest = reading_at(growth, 0);
	growth->before_bytes = newest->bytes;
	bool replace = now_ms == newest->at_ms;
	if (growth->count > 1 && newest->at_ms - reading_at(growth, 1)->at_ms < GROWTH_SPACING_MS)
		replace = true;
	if (replace)
		growth->count--;
	reading_push(growth, now_ms, bytes);
}

uint64_t growth_bytes_per_s(const struct growth *growth, uint64_t noise_bytes)
{
	if (growth->count < 2)
		return 0;
	const struct growth_reading *newest = reading_at(growth, 0);
	uint64_t steepest = 0;
	for (size_t back = 1; back < growth->count; back++) {
		const struct growth_reading *reading = reading_at(growth, back);
		uint64_t passed_ms = newest->at_ms - reading->at_ms;
		/* The last one before the newest counts however long ago it was. */
		if (back > 1 && passed_ms > GROWTH_WINDOW_MS)
			break;
		if (passed_ms < GROWTH_FLOOR_MS)
			passed_ms = GROWTH_FLOOR_MS;
		uint64_t rise_bytes = fraction_less(newest->bytes, reading->bytes);
		uint64_t rate = fraction_share(rise_bytes, 1000, passed_ms);
		if (rise_bytes > noise_bytes && rate > steepest)
			steepest = rate;
	}
	return steepest;
}

bool growth_is_falling(const struct growth *growth)
{
	return growth->count > 0 && reading_at(growth, 0)->bytes < growth->before_bytes;
}

uint64_t growth_time_to_wall_ms(uint64_t bytes_per_s, uint64_t headroom_bytes)
{
	if (bytes_per_s == 0)
		return GROWTH_NEVER_MS;
	return fraction_share(headroom_bytes, 1000, bytes_per_s);
}
