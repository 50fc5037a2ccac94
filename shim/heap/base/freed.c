/* Tells a process without a scavenger thread that its threads freed something. */
#include "shim/heap/base/freed.h"

_Atomic uint64_t freed_left_bytes;
static void (*_Atomic freed_hook)(void);

void freed_set_hook(uint64_t bytes, void (*hook)(void))
{
	atomic_store(&freed_left_bytes, 0);
	atomic_store(&freed_hook, hook);
	if (hook != NULL)
		atomic_store(&freed_left_bytes, bytes);
}

void freed_count(size_t bytes)
{
	uint64_t left = atomic_load(&freed_left_bytes);
	uint64_t after;
	void (*hook)(void);

	do {
		if (left == 0)
			return;
		after = left > bytes ? left - bytes : 0;
	} while (!atomic_compare_exchange_weak(&freed_left_bytes, &left, after));
	hook = atomic_load(&freed_hook);
	if (after == 0 && hook != NULL)
		hook();
}
