/* Sums up what the heaps behind one wall hold. */
#include "supervisor/policy/behind.h"

#include "supervisor/policy/fraction.h"
#include "supervisor/policy/release.h"
#include "supervisor/policy/shortage.h"

/* A process that does not answer has nothing to give, whatever its slot says. */
static void add(struct behind *behind, const struct turn *turn, size_t i, uint64_t within_ms)
{
	const struct heap_sample *heap = &turn->service[i]->sample.heap;
	const struct release *release = &turn->service[i]->state.release;
	uint64_t idle_bytes = release_idle_bytes(release, heap, LEVEL_FULL);
	uint64_t slot_bytes = heap->free_slot_bytes < heap->in_use_bytes ? heap->free_slot_bytes
									 : heap->in_use_bytes;
	if (!turn_can_give(turn, i))
		return;
	if (!release_has_emptied(release, within_ms, turn->now_ms))
		behind->emptied = false;
	if (heap->answered)
		behind->idle_bytes = fraction_plus(behind->idle_bytes, idle_bytes);
	behind->live_bytes = fraction_plus(behind->live_bytes, heap->in_use_bytes - slot_bytes);
	behind->free_slot_bytes = fraction_plus(behind->free_slot_bytes, slot_bytes);
	behind->heap_bytes =
		fraction_plus(behind->heap_bytes, fraction_plus(heap->in_use_bytes, idle_bytes));
}

struct behind behind_service(const struct turn *turn, size_t i, uint64_t within_ms)
{
	struct behind behind = {.emptied = true};
	add(&behind, turn, i, within_ms);
	return behind;
}

struct behind behind_shared(const struct turn *turn, uint64_t within_ms)
{
	struct behind behind = {.emptied = true};
	for (size_t i = 0; i < turn->count; i++)
		add(&behind, turn, i, within_ms);
	return behind;
}

bool behind_has_nothing(const struct behind *behind, uint64_t limit_bytes)
{
	return behind->emptied && behind->idle_bytes <= limit_bytes / SHORTAGE_LITTLE_SHARE;
}
