/* What a thread that grows the heap gives back for it. */
#include "shim/heap/scavenge/growth.h"

#include "shim/heap/pages/grown.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/scavenge/scavenge_policy.h"

#include <stdatomic.h>

static _Atomic uint32_t level;
static _Atomic uint64_t before_ns;
static _Atomic bool large_is_free;

void growth_tune(enum heap_level new_level, uint64_t idle_before_ns)
{
	atomic_store_explicit(&level, new_level, memory_order_relaxed);
	atomic_store_explicit(&before_ns, idle_before_ns, memory_order_relaxed);
}

void growth_follow(enum heap_policy policy)
{
	atomic_store_explicit(&large_is_free, policy != HEAP_ADAPTIVE, memory_order_relaxed);
}

static void pay_for_large(size_t bytes)
{
	struct heap_pass pass = {
		.level = HEAP_EAGER,
		.idle_before_ns = UINT64_MAX,
		.max_bytes = bytes < GROWTH_LARGE_BYTES_MAX ? bytes : GROWTH_LARGE_BYTES_MAX,
		.cushion_bytes = GROWTH_CUSHION_BYTES,
	};
	struct page_stats pages;

	page_heap_stats(&pages);
	if (pages.in_use * PAGE_BYTES / GROWTH_CUSHION_PART > pass.cushion_bytes)
		pass.cushion_bytes = pages.in_use * PAGE_BYTES / GROWTH_CUSHION_PART;
	if (pages.dirty * PAGE_BYTES > pass.cushion_bytes)
		heap_scavenge(&pass, HEAP_GROWTH);
}

static void pay_with_old(size_t bytes)
{
	struct heap_pass pass = {
		.level = (enum heap_level)atomic_load_explicit(&level, memory_order_relaxed),
		.idle_before_ns = atomic_load_explicit(&before_ns, memory_order_relaxed),
		.max_bytes = bytes,
	};

	if (pass.idle_before_ns == 0)
		return;
	if (pass.max_bytes > GROWTH_BYTES_MAX)
		pass.max_bytes = GROWTH_BYTES_MAX;
	heap_scavenge(&pass, HEAP_GROWTH);
}

void growth_settle(void)
{
	size_t bytes = grown_settle() * PAGE_BYTES;

	if (bytes == 0)
		return;
	if (bytes >= GROWTH_LARGE_BYTES &&
		!atomic_load_explicit(&large_is_free, memory_order_relaxed))
		pay_for_large(bytes);
	else
		pay_with_old(bytes);
}
