#include "shim/heap/growth.h"

#include "shim/heap/page.h"

#include <stdatomic.h>

static _Atomic uint32_t level;
static _Atomic uint64_t before_ns;

void growth_tune(enum heap_level new_level, uint64_t idle_before_ns)
{
	atomic_store_explicit(&level, new_level, memory_order_relaxed);
	atomic_store_explicit(&before_ns, idle_before_ns, memory_order_relaxed);
}

void growth_pay(size_t cold_pages)
{
	struct heap_pass pass = {
		.level = (enum heap_level)atomic_load_explicit(&level, memory_order_relaxed),
		.idle_before_ns = atomic_load_explicit(&before_ns, memory_order_relaxed),
		.max_bytes = cold_pages * PAGE_BYTES,
	};

	if (pass.idle_before_ns == 0)
		return;
	if (pass.max_bytes > GROWTH_BYTES_MAX)
		pass.max_bytes = GROWTH_BYTES_MAX;
	heap_scavenge(&pass, HEAP_GROWTH);
}
