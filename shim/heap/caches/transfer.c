/* Keeps batches of free slots between caches and slabs; makes no slot and looks at none. */
#include "shim/heap/caches/transfer.h"

#include "shim/heap/base/lock.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/slabs/central.h"

#include <stdatomic.h>
#include <string.h>

#define FIRST_LIMIT_BATCHES 4U

/* Two lines each, since processors fetch pairs of lines. */
struct transfer {
	struct lock lock;
	/* Written under the lock, read anywhere. */
	_Atomic uint32_t count;
	_Atomic uint32_t limit;
	_Atomic bool overflowed; /* a batch did not fit since the limit last changed; a hint */
	_Atomic bool touched;    /* the array, since it was last given back */
	bool used;               /* since the scavenger last looked */
	bool idle;               /* a cache found the class idle, and none came by since */
	bool away;               /* it is being given back */
	uint32_t low;            /* the lowest count since the scavenger last looked */
	uint64_t looked_ns;
	void **slots; /* NULL: none yet; whole pages */
} __attribute__((aligned(128)));

static struct transfer transfers[SIZE_CLASSES + 1];
static _Atomic size_t limits_bytes; /* of all stacks */
static _Atomic size_t allowed_bytes;
static _Atomic unsigned victim; /* the class whose limit falls next */

static uint32_t room_of(unsigned size_class)
{
	size_t slots = TRANSFER_CLASS_BYTES / size_classes[size_class].bytes;

	return (uint32_t)(slots < TRANSFER_CLASS_SLOTS ? slots : TRANSFER_CLASS_SLOTS);
}

static size_t array_bytes(unsigned size_class)
{
	return round_up(room_of(size_class) * sizeof(void *), PAGE_BYTES);
}

static uint32_t count_of(const struct transfer *transfer)
{
	return atomic_load_explicit(&transfer->count, memory_order_relaxed);
}

static uint32_t limit_of(const struct transfer *transfer)
{
	return atomic_load_explicit(&transfer->limit, memory_order_relaxed);
}

static bool has_overflowed(const struct transfer *transfer)
{
	return atomic_load_explicit(&transfer->overflowed, memory_order_relaxed);
}

static void set_overflowed(struct transfer *transfer, bool overflowed)
{
	if (has_overflowed(transfer) != overflowed)
		atomic_store_explicit(&transfer->overflowed, overflowed, memory_order_relaxed);
}

static bool is_touched(const struct transfer *transfer)
{
	return atomic_load_explicit(&transfer->touched, memory_order_relaxed);
}

/* Lock held, here and where a count changes. */
static void set_touched(struct transfer *transfer, bool touched)
{
	atomic_store_explicit(&transfer->touched, touched, memory_order_relaxed);
}

static void set_count(struct transfer *transfer, uint32_t count)
{
	atomic_store_explicit(&transfer->count, count, memory_order_relaxed);
	if (count < transfer->low)
		transfer->low = count;
}

/* Limits ----------------------------------------------------------------- */

/* Lock held. */
static void set_limit(struct transfer *transfer, unsigned size_class, uint32_t limit)
{
	size_t change = ((size_t)limit - limit_of(transfer)) * size_classes[size_class].bytes;

	atomic_fetch_add_explicit(&limits_bytes, change, memory_order_relaxed);
	atomic_store_explicit(&transfer->limit, limit, memory_order_relaxed);
}

/* Lock held. */
static bool has_array(struct transfer *transfer, unsigned size_class)
{
	void *start;

	if (transfer->slots != NULL)
		return true;
	start = meta_take(array_bytes(size_class) + PAGE_BYTES);
	if (start != NULL)
		transfer->slots = (void **)round_up((uintptr_t)start, PAGE_BYTES);
	return start != NULL;
}

/* The lowest of a stack, `most` in all, go to their slabs. */
static void shed(struct transfer *transfer, unsigned size_class, uint32_t most)
{
	while (most != 0) {
		void *slots[CENTRAL_BATCH];
		uint32_t count;
		uint32_t part;

		lock_take(&transfer->lock);
		count = count_of(transfer);
		part = most < count ? most : count;
		if (part > CENTRAL_BATCH)
			part = CENTRAL_BATCH;
		if (part != 0) {
			memcpy(slots, transfer->slots, part * sizeof *slots);
			memmove(transfer->slots, transfer->slots + part,
				(count - part) * sizeof *slots);
			set_count(transfer, count - part);
		}
		lock_drop(&transfer->lock);
		if (part == 0)
			return;
		central_put(size_class, slots, part);
		most -= part;
	}
}

/* Another class gives up half of its limit; false: none has one. */
static bool shrink_another(unsigned size_class)
{
	for (unsigned i = 0; i < SIZE_CLASSES; i++) {
		unsigned c =
			atomic_fetch_add_explicit(&victim, 1, memory_order_relaxed) % SIZE_CLASSES +
			1;
		struct transfer *transfer = &transfers[c];
		uint32_t count;
		uint32_t limit;

		if (c == size_class || limit_of(transfer) == 0)
			continue;
		lock_take(&transfer->lock);
		limit = limit_of(transfer) / 2;
		set_limit(transfer, c, limit);
		count = count_of(transfer);
		lock_drop(&transfer->lock);
		shed(transfer, c, count > limit ? count - limit : 0);
		return true;
	}
	return false;
}

/* By how much all limits together, and so many bytes, are over the bound. */
static size_t over_bytes(size_t more)
{
	size_t allowed = atomic_load_explicit(&allowed_bytes, memory_order_relaxed);
	size_t limits = atomic_load_explicit(&limits_bytes, memory_order_relaxed) + more;

	if (allowed != 0)
		allowed += TRANSFER_FIRST_BYTES;
	if (allowed > TRANSFER_BYTES_MAX)
		allowed = TRANSFER_BYTES_MAX;
	return limits > allowed ? limits - allowed : 0;
}

void transfer_cache_taken(void)
{
	atomic_fetch_add_explicit(&allowed_bytes, TRANSFER_CACHE_BYTES, memory_order_relaxed);
}

void transfer_cache_left(void)
{
	atomic_fetch_sub_explicit(&allowed_bytes, TRANSFER_CACHE_BYTES, memory_order_relaxed);
	while (over_bytes(0) != 0 && shrink_another(0))
		;
}

/* Lock held.  A batch of so many slots was missed here.  False: another limit must fall first. */
static bool grow_limit(struct transfer *transfer, unsigned size_class, unsigned batch)
{
	uint32_t room = room_of(size_class);
	uint32_t before = limit_of(transfer);
	uint32_t limit = before != 0 ? before * 2 : FIRST_LIMIT_BATCHES * batch;

	set_overflowed(transfer, false);
	if (limit > room)
		limit = room;
	if (limit <= before || !has_array(transfer, size_class))
		return true;
	if (over_bytes((limit - before) * (size_t)size_classes[size_class].bytes) != 0)
		return false;
	set_limit(transfer, size_class, limit);
	return true;
}

/* Taking and putting ------------------------------------------------------- */

unsigned transfer_take(unsigned size_class, void **slots, unsigned want)
{
	struct transfer *transfer = &transfers[size_class];
	uint32_t count = count_of(transfer);
	bool grown = true;
	unsigned got;

	if (count == 0 && !has_overflowed(transfer))
		return 0;
	lock_take(&transfer->lock);
	count = count_of(transfer);
	got = want < count ? want : count;
	if (got != 0) {
		memcpy(slots, transfer->slots + count - got, got * sizeof *slots);
		set_count(transfer, count - got);
		transfer->used = true;
		transfer->idle = false;
	} else if (has_overflowed(transfer)) {
		grown = grow_limit(transfer, size_class, want);
	}
	lock_drop(&transfer->lock);
	if (!grown)
		(void)shrink_another(size_class);
	return got;
}

bool transfer_put(unsigned size_class, void *const *slots, unsigned count)
{
	struct transfer *transfer = &transfers[size_class];
	bool fits = false;

	if (count_of(transfer) + count <= limit_of(transfer)) {
		uint32_t had;

		lock_take(&transfer->lock);
		had = count_of(transfer);
		fits = had + count <= limit_of(transfer) && !transfer->away;
		if (fits) {
			memcpy(transfer->slots + had, slots, count * sizeof *slots);
			set_count(transfer, had + count);
			transfer->used = true;
			transfer->idle = false;
			set_touched(transfer, true);
		}
		lock_drop(&transfer->lock);
	}
	if (!fits)
		set_overflowed(transfer, true);
	return fits;
}

/* Giving back --------------------------------------------------------------- */

/* The memory of an empty stack's array goes; until it has, nothing is put there. */
static void bare(struct transfer *transfer, unsigned size_class)
{
	struct os_range range = {.bytes = array_bytes(size_class)};
	bool begun;

	if (os_page_bytes() != PAGE_BYTES || !transit_begin())
		return;
	lock_take(&transfer->lock);
	begun = count_of(transfer) == 0 && is_touched(transfer) && !transfer->away;
	if (begun)
		transfer->away = true;
	range.start = transfer->slots;
	lock_drop(&transfer->lock);
	if (begun) {
		/* Refused (locked memory), it is not tried again before it was used again. */
		(void)os_advise(&range, 1, OS_DONTNEED);
		lock_take(&transfer->lock);
		set_touched(transfer, false);
		transfer->away = false;
		lock_drop(&transfer->lock);
	}
	transit_end();
}

/* How many slots were not needed since the last look, if that was before idle_before_ns; the limit
 * falls by as many, and to nothing where no cache came by. */
static uint32_t look(struct transfer *transfer, unsigned size_class, uint64_t idle_before_ns)
{
	uint32_t unneeded = 0;
	uint32_t limit = 0;

	lock_take(&transfer->lock);
	if (idle_before_ns == UINT64_MAX) {
		unneeded = count_of(transfer);
		set_limit(transfer, size_class, 0);
	} else if (transfer->looked_ns <= idle_before_ns) {
		/* Never looked at before, it was used just now. */
		if (transfer->looked_ns != 0) {
			unneeded = transfer->low;
			if (transfer->used && limit_of(transfer) > unneeded)
				limit = limit_of(transfer) - unneeded;
			set_limit(transfer, size_class, limit);
		}
		transfer->low = count_of(transfer) - unneeded;
		transfer->used = false;
		transfer->looked_ns = os_now_ns();
	}
	lock_drop(&transfer->lock);
	return unneeded;
}

bool transfer_idle(unsigned size_class)
{
	struct transfer *transfer = &transfers[size_class];
	bool was_idle;

	if (limit_of(transfer) == 0 && count_of(transfer) == 0)
		return false;
	lock_take(&transfer->lock);
	was_idle = transfer->idle;
	transfer->idle = true;
	lock_drop(&transfer->lock);
	if (was_idle)
		shed(transfer, size_class, look(transfer, size_class, UINT64_MAX));
	return was_idle;
}

void transfer_drain(uint64_t idle_before_ns)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct transfer *transfer = &transfers[c];

		if (limit_of(transfer) != 0 || count_of(transfer) != 0)
			shed(transfer, c, look(transfer, c, idle_before_ns));
		if (is_touched(transfer) && limit_of(transfer) == 0 && count_of(transfer) == 0)
			bare(transfer, c);
	}
}

/* Reading -------------------------------------------------------------------- */

void transfer_stats(uint64_t *slots, uint64_t *bytes)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		uint64_t count = count_of(&transfers[c]);

		*slots += count;
		*bytes += count * size_classes[c].bytes;
	}
}

uint64_t transfer_check_locked(unsigned size_class)
{
	return count_of(&transfers[size_class]);
}

void transfer_locks(void (*visit)(struct lock *lock))
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		visit(&transfers[c].lock);
}
