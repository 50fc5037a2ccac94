/* The hook that is asked before pages become resident. */
#include "shim/heap/base/gate.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"

#include <stdatomic.h>

#define POPULATE_BYTES_MAX ((size_t)8 << 20)

static bool (*_Atomic gate)(size_t bytes);
static void (*_Atomic populated)(void);

void gate_set(bool (*new_gate)(size_t bytes))
{
	atomic_store_explicit(&gate, new_gate, memory_order_release);
}

void gate_set_populated(void (*new_populated)(void))
{
	atomic_store_explicit(&populated, new_populated, memory_order_release);
}

bool gate_is_set(void)
{
	return atomic_load_explicit(&gate, memory_order_acquire) != NULL;
}

bool gate_ask(size_t bytes)
{
	bool (*ask)(size_t bytes) = atomic_load_explicit(&gate, memory_order_acquire);

	return ask != NULL && ask(bytes);
}

bool gate_populate(void *start, size_t bytes)
{
	size_t grain = os_page_bytes();
	uintptr_t first = (uintptr_t)start & ~(grain - 1);
	struct os_range range = {
		.start = (void *)first,
		.bytes = round_up((uintptr_t)start + bytes, grain) - first,
	};
	void (*tell)(void) = atomic_load_explicit(&populated, memory_order_acquire);

	if (bytes > POPULATE_BYTES_MAX || os_advise(&range, 1, OS_POPULATE) != 0)
		return false;
	if (tell != NULL)
		tell();
	return true;
}
