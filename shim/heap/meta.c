#include "shim/heap/meta.h"

#include "shim/heap/lock.h"
#include "shim/heap/os.h"
#include "shim/heap/page.h"

#define RESERVE_BYTES_MAX ((size_t)16 << 20)
#define RESERVE_BYTES_MIN ((size_t)256 << 10)
#define COMMIT_BYTES ((size_t)256 << 10)

struct meta_free {
	struct meta_free *next;
};

static struct {
	struct lock lock;
	uintptr_t next;
	uintptr_t committed;
	uintptr_t end;
	_Atomic uint64_t bytes; /* whole pages behind what was taken */
	size_t reserve_bytes;
	struct meta_free *kept[META_REUSED_BYTES / META_ALIGNMENT];
} meta;

void meta_locks(void (*visit)(struct lock *lock))
{
	visit(&meta.lock);
}

uint64_t meta_bytes(void)
{
	return atomic_load_explicit(&meta.bytes, memory_order_relaxed);
}

static bool meta_reserve(size_t bytes)
{
	size_t want = meta.reserve_bytes != 0 ? meta.reserve_bytes : RESERVE_BYTES_MAX;
	void *start = NULL;

	if (want < bytes)
		want = round_up(bytes, COMMIT_BYTES);
	for (;;) {
		start = os_reserve(want, PAGE_BYTES);
		if (start != NULL || want / 2 < RESERVE_BYTES_MIN || want / 2 < bytes)
			break;
		want /= 2;
	}
	if (start == NULL)
		return false;
	meta.reserve_bytes = want;
	meta.next = (uintptr_t)start;
	meta.committed = (uintptr_t)start;
	meta.end = meta.next + want;
	return true;
}

static bool meta_commit(size_t bytes)
{
	uintptr_t end = round_up(meta.next + bytes, PAGE_BYTES);
	uintptr_t goal = meta.committed + COMMIT_BYTES;

	if (end <= meta.committed)
		return true;
	if (goal < end)
		goal = end;
	if (goal > meta.end)
		goal = meta.end;
	if (os_commit((void *)meta.committed, goal - meta.committed) != 0) {
		goal = end;
		if (os_commit((void *)meta.committed, goal - meta.committed) != 0)
			return false;
	}
	meta.committed = goal;
	return true;
}

static void *meta_cut(size_t bytes)
{
	uintptr_t taken;

	if (meta.end - meta.next < bytes && !meta_reserve(bytes))
		return NULL;
	if (!meta_commit(bytes))
		return NULL;
	taken = meta.next;
	meta.next += bytes;
	atomic_fetch_add_explicit(&meta.bytes,
		round_up(meta.next, PAGE_BYTES) - round_up(taken, PAGE_BYTES),
		memory_order_relaxed);
	return (void *)taken;
}

void *meta_take(size_t bytes)
{
	void *record = NULL;

	bytes = round_up(bytes, META_ALIGNMENT);
	lock_take(&meta.lock);
	if (bytes <= META_REUSED_BYTES) {
		struct meta_free **kept = &meta.kept[bytes / META_ALIGNMENT - 1];

		if (*kept != NULL) {
			record = *kept;
			*kept = (*kept)->next;
		}
	}
	if (record == NULL)
		record = meta_cut(bytes);
	lock_drop(&meta.lock);
	return record;
}

void meta_put(void *record, size_t bytes)
{
	struct meta_free *free_record = record;
	struct meta_free **kept = &meta.kept[round_up(bytes, META_ALIGNMENT) / META_ALIGNMENT - 1];

	lock_take(&meta.lock);
	free_record->next = *kept;
	*kept = free_record;
	lock_drop(&meta.lock);
}
