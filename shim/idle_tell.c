/* Tells the supervisor at once what idles near the wall. */
#include "shim/idle_tell.h"

#include "shim/heap/base/freed.h"
#include "shim/heap/base/page.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/link.h"
#include "shim/trim.h"
#include "shim/worker.h"

#include <stdatomic.h>
#include <stddef.h>

#define IDLE_TELL_BYTES ((uint64_t)4 * 1024 * 1024)

static _Atomic bool watches;

/* Within free, maybe with locks of the heap held. */
static void on_freed(void)
{
	atomic_fetch_or(&worker_attention, WORKER_ATTEND_TELL);
}

void idle_tell_watch(bool is_near)
{
	bool watched = atomic_exchange(&watches, is_near);

	if (is_near != watched)
		freed_set_hook(IDLE_TELL_BYTES, is_near ? on_freed : NULL);
}

void idle_tell(void)
{
	struct link_slot *slot = link_slot_enter();
	struct page_stats pages;
	uint64_t told_bytes = UINT64_MAX - IDLE_TELL_BYTES;

	(void)trim_inherited();
	if (slot != NULL) {
		told_bytes = atomic_load(&slot->idle_dirty_bytes);
		link_slot_leave();
	}
	page_heap_stats(&pages);
	if (pages.dirty * PAGE_BYTES > told_bytes &&
		pages.dirty * PAGE_BYTES - told_bytes >= IDLE_TELL_BYTES) {
		link_slot_publish();
		link_notify_supervisor();
	}
	if (atomic_load(&watches))
		freed_set_hook(IDLE_TELL_BYTES, on_freed);
}

void idle_tell_fork_child(void)
{
	atomic_store(&watches, false);
}
