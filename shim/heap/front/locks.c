/* The table of the heap's locks, and the walks over it. */
#include "shim/heap/front/locks.h"

#include "shim/heap/base/lock.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/slabs/central.h"

#include <stddef.h>

/* In the order in which they are taken. */
static void (*const rooms[])(void (*visit)(struct lock *lock)) = {
	cache_registry_locks,
	cache_thief_locks, /* of the caches in the registry, which holds still */
	transfer_locks,
	central_locks,
	page_heap_locks,
	meta_locks,
};

#define ROOMS (sizeof rooms / sizeof rooms[0])

void locks_take_for_fork(void)
{
	for (size_t i = 0; i < ROOMS; i++)
		rooms[i](lock_take_for_fork);
}

void locks_drop_in_parent(void)
{
	for (size_t i = ROOMS; i > 0; i--)
		rooms[i - 1](lock_drop_in_parent);
}

void locks_drop_in_child(void)
{
	for (size_t i = ROOMS; i > 0; i--)
		rooms[i - 1](lock_drop_in_child);
}

static __thread bool any_mine;

static void note_mine(struct lock *lock)
{
	any_mine |= lock_is_mine(lock);
}

bool locks_is_any_mine(void)
{
	any_mine = false;
	for (size_t i = 0; i < ROOMS; i++)
		rooms[i](note_mine);
	return any_mine;
}
