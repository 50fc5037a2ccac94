/* Serves the heap with memory for its own records, which is never a block's. */

#include "shim/heap/base/meta.h"

#include "shim/heap/base/lock.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/base/transit.h"

/* Each reservation is twice as large as the last, if the kernel lets it. */
#define RESERVE_BYTES_MIN ((size_t)64 << 10)
#define RESERVE_BYTES_MAX ((size_t)16 << 20)
#define COMMIT_BYTES ((size_t)64 << 10)

static struct {
	struct lock lock;
	uintptr_t next;
	uintptr_t committed;
	uintptr_t end;
	_Atomic uint64_t cut_bytes; /* whole pages behind what was cut off */
	_Atomic uint64_t records_bytes;
	size_t reserve_bytes;
} meta;

void meta_locks(void (*visit)(struct lock *lock))
{
	visit(&meta.lock);
}

uint64_t meta_bytes(void)
{
	return atomic_load_explicit(&meta.cut_bytes, memory_order_relaxed) +
	       atomic_load_explicit(&meta.records_bytes, memory_order_relaxed);
}

static bool meta_reserve(size_t bytes)
{
	size_t want = meta.reserve_bytes * 2;
	void *start = NULL;

	if (want > RESERVE_BYTES_MAX)
		want = RESERVE_BYTES_MAX;
	if (want < RESERVE_BYTES_MIN)
		want = RESERVE_BYTES_MIN;
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
	atomic_fetch_add_explicit(&meta.cut_bytes,
		round_up(meta.next, PAGE_BYTES) - round_up(taken, PAGE_BYTES),
		memory_order_relaxed);
	return (void *)taken;
}

static void count_records(void)
{
	atomic_store_explicit(
		&meta.records_bytes, records_pages_locked() * PAGE_BYTES, memory_order_relaxed);
}

static size_t units_of(size_t bytes)
{
	return round_up(bytes, RECORD_UNIT) / RECORD_UNIT;
}

void *meta_take(size_t bytes)
{
	void *record;

	lock_take(&meta.lock);
	if (bytes <= META_REUSED_BYTES) {
		record = records_take_locked(units_of(bytes));
		count_records();
	} else {
		record = meta_cut(round_up(bytes, META_ALIGNMENT));
	}
	lock_drop(&meta.lock);
	return record;
}

void meta_put(void *record, size_t bytes)
{
	lock_take(&meta.lock);
	records_put_locked(record, units_of(bytes));
	lock_drop(&meta.lock);
}

/* Giving back ------------------------------------------------------------ */

/* One batch; how many pages went. */
static size_t give_back(size_t keep_pages, size_t most)
{
	struct os_range ranges[OS_RANGES_MAX];
	size_t count = 0;
	size_t pages = 0;
	bool gone;

	lock_take(&meta.lock);
	if (records_idle_locked() > keep_pages) {
		size_t idle = records_idle_locked() - keep_pages;

		count = records_hunt_locked(ranges, idle < most ? idle : most);
	}
	lock_drop(&meta.lock);
	if (count == 0)
		return 0;
	gone = os_advise(ranges, count, OS_DONTNEED) == 0;
	for (size_t i = 0; i < count && gone; i++)
		pages += ranges[i].bytes / PAGE_BYTES;
	lock_take(&meta.lock);
	records_hunt_end_locked(ranges, count, gone);
	count_records();
	lock_drop(&meta.lock);
	return pages;
}

size_t meta_give_back(size_t keep_pages, size_t most)
{
	size_t total = 0;
	size_t pages = 1;

	/* Where the kernel's pages are larger than ours, a page of records has none of its own. */
	if (os_page_bytes() != PAGE_BYTES)
		return 0;
	while (pages != 0 && total < most && transit_begin()) {
		pages = give_back(keep_pages, most - total);
		total += pages;
		transit_end();
	}
	return total;
}

const char *meta_check_locked(void)
{
	return records_check_locked();
}
