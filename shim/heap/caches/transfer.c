/* Keeps free slots and blocks between caches and where these come from; makes none, looks at none.
 */
#include "shim/heap/caches/transfer.h"

#include "shim/heap/base/lock.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/slabs/central.h"

#include <stdatomic.h>
#include <string.h>

/* Two lines each, since processors fetch pairs of lines. */
struct transfer {
	struct lock lock;
	/* Written under the lock, read anywhere. */
	_Atomic uint32_t count;
	_Atomic uint32_t limit;
	_Atomic bool overflowed; /* a batch did not fit since the limit last changed; a hint */
	_Atomic bool touched;    /* the array, since it was last given back */
	bool idle;               /* a cache found the class idle, and none came by since */
	bool away;               /* it is being given back */
	uint32_t misses;         /* that a higher limit would have saved, in a row */
	uint32_t uses;           /* since the scavenger last looked */
	uint32_t low;            /* the lowest count since then */
	uint64_t missed_ns;
	uint64_t looked_ns;
	void **slots; /* NULL: none yet; whole pages */
} __attribute__((aligned(128)));

static struct transfer transfers[CACHE_BINS + 1];

/* Stacks that share a bound: those of small slots, and those of larger ones and large blocks. */
struct transfer_kind {
	size_t bin_bytes;   /* one stack's bound */
	size_t cache_bytes; /* all stacks', for each thread that has a cache, */
	size_t first_bytes; /* and with the first of these */
	size_t most_bytes;
	uint32_t first_batches; /* the first limit of a stack */
	_Atomic size_t limits_bytes;
	_Atomic size_t allowed_bytes;
	_Atomic unsigned victim; /* the bin whose limit falls next */
};

static struct transfer_kind small_kind = {
	.bin_bytes = TRANSFER_CLASS_BYTES,
	.cache_bytes = TRANSFER_CACHE_BYTES,
	.first_bytes = TRANSFER_FIRST_BYTES,
	.most_bytes = TRANSFER_BYTES_MAX,
	.first_batches = 4,
};

static struct transfer_kind large_kind = {
	.bin_bytes = TRANSFER_LARGE_CLASS_BYTES,
	.cache_bytes = TRANSFER_LARGE_CACHE_BYTES,
	.most_bytes = TRANSFER_LARGE_BYTES_MAX,
	.first_batches = 2,
};

static struct transfer_kind *kind_of(unsigned bin)
{
	return cache_bin_bytes(bin) < TRANSFER_LARGE_MIN ? &small_kind : &large_kind;
}

static uint32_t room_of(unsigned bin)
{
	size_t slots = kind_of(bin)->bin_bytes / cache_bin_bytes(bin);

	return (uint32_t)(slots < TRANSFER_CLASS_SLOTS ? slots : TRANSFER_CLASS_SLOTS);
}

static size_t array_bytes(unsigned bin)
{
	return round_up(room_of(bin) * sizeof(void *), PAGE_BYTES);
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
static void set_limit(struct transfer *transfer, unsigned bin, uint32_t limit)
{
	size_t change = ((size_t)limit - limit_of(transfer)) * cache_bin_bytes(bin);

	atomic_fetch_add_explicit(&kind_of(bin)->limits_bytes, change, memory_order_relaxed);
	atomic_store_explicit(&transfer->limit, limit, memory_order_relaxed);
}

/* Lock held. */
static bool has_array(struct transfer *transfer, unsigned bin)
{
	void *start;

	if (transfer->slots != NULL)
		return true;
	start = meta_take(array_bytes(bin) + PAGE_BYTES);
	if (start != NULL)
		transfer->slots = (void **)round_up((uintptr_t)start, PAGE_BYTES);
	return start != NULL;
}

/* The lowest of a stack, `most` in all, go to their slabs. */
static void shed(struct transfer *transfer, unsigned bin, uint32_t most)
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
		bin_return(bin, slots, part);
		most -= part;
	}
}

/* Another bin of the kind gives up half of its limit; false: none has one. */
static bool shrink_another(struct transfer_kind *kind, unsigned bin)
{
	for (unsigned i = 0; i < CACHE_BINS; i++) {
		unsigned turn = atomic_fetch_add_explicit(&kind->victim, 1, memory_order_relaxed);
		unsigned c = turn % CACHE_BINS + 1;
		struct transfer *transfer = &transfers[c];
		uint32_t count;
		uint32_t limit;

		if (c == bin || kind_of(c) != kind || limit_of(transfer) == 0)
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

/* By how much all limits of a kind, and so many bytes, are over the bound. */
static size_t over_bytes(const struct transfer_kind *kind, size_t more)
{
	size_t allowed = atomic_load_explicit(&kind->allowed_bytes, memory_order_relaxed);
	size_t limits = atomic_load_explicit(&kind->limits_bytes, memory_order_relaxed) + more;

	if (allowed != 0)
		allowed += kind->first_bytes;
	if (allowed > kind->most_bytes)
		allowed = kind->most_bytes;
	return limits > allowed ? limits - allowed : 0;
}

static void cache_taken(struct transfer_kind *kind)
{
	atomic_fetch_add_explicit(&kind->allowed_bytes, kind->cache_bytes, memory_order_relaxed);
}

static void cache_left(struct transfer_kind *kind)
{
	atomic_fetch_sub_explicit(&kind->allowed_bytes, kind->cache_bytes, memory_order_relaxed);
	while (over_bytes(kind, 0) != 0 && shrink_another(kind, 0))
		;
}

void transfer_cache_taken(void)
{
	cache_taken(&small_kind);
	cache_taken(&large_kind);
}

void transfer_cache_left(void)
{
	cache_left(&small_kind);
	cache_left(&large_kind);
}

/* Lock held.  Large blocks are to be missed more often, in proportion to their size. */
static bool is_missed_enough(struct transfer *transfer, unsigned bin)
{
	uint64_t now_ns = os_now_coarse_ns();

	if (kind_of(bin) == &small_kind)
		return true;
	if (now_ns - transfer->missed_ns >= RUN_FALL_NS) {
		transfer->missed_ns = now_ns;
		transfer->misses = 0;
	}
	if (++transfer->misses < cache_bin_bytes(bin) / RUN_MISS_BYTES)
		return false;
	transfer->misses = 0;
	return true;
}

/* Lock held.  A batch of so many slots was missed here.  False: another limit must fall first. */
static bool grow_limit(struct transfer *transfer, unsigned bin, unsigned batch)
{
	uint32_t room = room_of(bin);
	uint32_t before = limit_of(transfer);
	uint32_t limit = before != 0 ? before * 2 : kind_of(bin)->first_batches * batch;

	if (!is_missed_enough(transfer, bin))
		return true;
	set_overflowed(transfer, false);
	if (limit > room)
		limit = room;
	if (limit <= before || !has_array(transfer, bin))
		return true;
	if (over_bytes(kind_of(bin), (limit - before) * cache_bin_bytes(bin)) != 0)
		return false;
	set_limit(transfer, bin, limit);
	return true;
}

/* Taking and putting ------------------------------------------------------- */

unsigned transfer_take(unsigned bin, void **slots, unsigned want)
{
	struct transfer *transfer = &transfers[bin];
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
		transfer->uses++;
		transfer->idle = false;
	} else if (has_overflowed(transfer)) {
		grown = grow_limit(transfer, bin, want);
	}
	lock_drop(&transfer->lock);
	if (!grown)
		(void)shrink_another(kind_of(bin), bin);
	return got;
}

bool transfer_put(unsigned bin, void *const *slots, unsigned count)
{
	struct transfer *transfer = &transfers[bin];
	bool fits = false;

	if (count_of(transfer) + count <= limit_of(transfer)) {
		uint32_t had;

		lock_take(&transfer->lock);
		had = count_of(transfer);
		fits = had + count <= limit_of(transfer) && !transfer->away;
		if (fits) {
			memcpy(transfer->slots + had, slots, count * sizeof *slots);
			set_count(transfer, had + count);
			transfer->uses++;
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
static void bare(struct transfer *transfer, unsigned bin)
{
	struct os_range range = {.bytes = array_bytes(bin)};
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

/* It was used since the last look; a stack of large blocks, as often as caches ask for. */
static bool is_worth_keeping(const struct transfer *transfer, unsigned bin)
{
	uint64_t falls = (os_now_ns() - transfer->looked_ns) / RUN_FALL_NS;

	if (kind_of(bin) == &small_kind || falls == 0)
		return transfer->uses != 0;
	return transfer->uses >= cache_bin_bytes(bin) / RUN_MISS_BYTES * falls;
}

/* How many slots were not needed since the last look, if that was before idle_before_ns; the limit
 * falls by as many, and to nothing where no cache came by. */
static uint32_t look(struct transfer *transfer, unsigned bin, uint64_t idle_before_ns)
{
	uint32_t unneeded = 0;
	uint32_t limit = 0;

	lock_take(&transfer->lock);
	if (idle_before_ns == UINT64_MAX) {
		unneeded = count_of(transfer);
		set_limit(transfer, bin, 0);
	} else if (transfer->looked_ns <= idle_before_ns) {
		/* Never looked at before, it was used just now. */
		if (transfer->looked_ns != 0) {
			bool kept = is_worth_keeping(transfer, bin);

			unneeded = kept ? transfer->low : count_of(transfer);
			if (kept && limit_of(transfer) > unneeded)
				limit = limit_of(transfer) - unneeded;
			set_limit(transfer, bin, limit);
		}
		transfer->low = count_of(transfer) - unneeded;
		transfer->uses = 0;
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
	for (unsigned c = 1; c <= CACHE_BINS; c++) {
		struct transfer *transfer = &transfers[c];

		if (limit_of(transfer) != 0 || count_of(transfer) != 0)
			shed(transfer, c, look(transfer, c, idle_before_ns));
		if (is_touched(transfer) && limit_of(transfer) == 0 && count_of(transfer) == 0)
			bare(transfer, c);
	}
}

/* Reading -------------------------------------------------------------------- */

static void count_bins(unsigned first, unsigned last, uint64_t *slots, uint64_t *bytes)
{
	for (unsigned bin = first; bin <= last; bin++) {
		uint64_t count = count_of(&transfers[bin]);

		*slots += count;
		*bytes += count * cache_bin_bytes(bin);
	}
}

void transfer_stats(uint64_t *slots, uint64_t *bytes)
{
	count_bins(1, SIZE_CLASSES, slots, bytes);
}

void transfer_run_stats(uint64_t *blocks, uint64_t *bytes)
{
	count_bins(SIZE_CLASSES + 1, CACHE_BINS, blocks, bytes);
}

uint64_t transfer_check_locked(unsigned bin)
{
	return count_of(&transfers[bin]);
}

void transfer_locks(void (*visit)(struct lock *lock))
{
	for (unsigned bin = 1; bin <= CACHE_BINS; bin++)
		visit(&transfers[bin].lock);
}
