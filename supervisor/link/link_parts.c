/* Divides a release among the processes of one service. */
#include "supervisor/link/link_parts.h"

#include "supervisor/policy/fraction.h"
#include "supervisor/policy/release.h"
#include "supervisor/policy/supply.h"

static uint64_t idle_bytes(const struct link_seen *seen, enum level level)
{
	return seen->answers ? release_reach_bytes(level, seen->figures.idle_dirty_bytes,
				       seen->figures.lazy_bytes)
			     : 0;
}

static uint64_t page_ns(const struct link_seen *seen)
{
	return supply_page_ns(link_figures_page_ns(&seen->figures));
}

static struct supply supply_of(const struct link_slots *slots, enum level level)
{
	struct supply supply = {.idle_bytes = 0};
	for (size_t i = 0; i < slots->seen_end; i++)
		if (slots->seen[i].answers)
			supply_add(&supply, page_ns(&slots->seen[i]),
				idle_bytes(&slots->seen[i], level));
	return supply;
}

/* Rounded so that a part of anything is never nothing. */
static uint16_t spared_of(uint64_t part_bytes, uint64_t target_bytes)
{
	uint64_t given = fraction_share(LINK_SPARED_WHOLE, part_bytes, target_bytes);
	if (part_bytes > 0 && given < LINK_SPARED_WHOLE)
		given++;
	return (uint16_t)(LINK_SPARED_WHOLE - given);
}

uint32_t link_parts_write(struct link_header *header, const struct link_slots *slots,
	enum level level, uint64_t target_bytes)
{
	struct supply supply = supply_of(slots, level);
	bool covered = target_bytes < supply.idle_bytes;
	uint32_t count = 0;
	/* Beyond, nobody was ever spared anything. */
	for (size_t i = 0; i < slots->seen_end; i++) {
		const struct link_seen *seen = &slots->seen[i];
		uint64_t part_bytes = target_bytes;
		if (covered && seen->owner != 0)
			part_bytes = supply_part(
				&supply, target_bytes, page_ns(seen), idle_bytes(seen, level));
		uint16_t spared = spared_of(part_bytes, target_bytes);
		atomic_store_explicit(&header->spared[i], spared, memory_order_relaxed);
		count += seen->answers && spared == LINK_SPARED_WHOLE ? 1 : 0;
	}
	return count;
}
