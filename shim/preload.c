#include "shim/heap/heap.h"
#include "shim/heap/heap_fast.h"
#include "shim/heap/os.h"
#include "shim/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * malloc and its family, C and C++: the argument rules and errno of glibc, C
 * and POSIX, then one call into the heap.
 *
 * Where the standards leave a choice it is glibc's, since that is what
 * programs were tested with: malloc(0) gives a block of its own, realloc(p, 0)
 * frees and gives NULL, memalign rounds an odd alignment up.  aligned_alloc is
 * strict, as C and newer glibc are.
 *
 * free and operator delete keep errno, and so does everything that succeeds.
 */

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect((condition), 1)
#define UNLIKELY(condition) __builtin_expect((condition), 0)

/* What stdlib.h and malloc.h do not declare: an old name, and operators by their mangled ones. */
void cfree(void *ptr);
void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t alignment, size_t size);

static void *result(void *ptr)
{
	worker_look();
	if (UNLIKELY(ptr == NULL))
		errno = ENOMEM;
	return ptr;
}

static bool is_power_of_two(size_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static __attribute__((noinline)) void *malloc_slow(size_t size)
{
	return result(heap_malloc(size));
}

EXPORT void *malloc(size_t size)
{
	void *block = heap_malloc_fast(size);

	return LIKELY(block != NULL) ? block : malloc_slow(size);
}

static __attribute__((noinline)) void free_slow(void *ptr)
{
	heap_free(ptr);
	worker_look();
}

EXPORT void free(void *ptr)
{
	if (!LIKELY(heap_free_fast(ptr)))
		free_slow(ptr);
}

EXPORT void cfree(void *ptr)
{
	free(ptr);
}

/* C23's.  A libc that has them frees with its own free. */
EXPORT void free_sized(void *ptr, size_t size)
{
	(void)size;
	free(ptr);
}

EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size)
{
	(void)alignment;
	(void)size;
	free(ptr);
}

EXPORT void *calloc(size_t nmemb, size_t size)
{
	return result(heap_calloc(nmemb, size));
}

EXPORT void *realloc(void *ptr, size_t size)
{
	if (UNLIKELY(size == 0 && ptr != NULL)) {
		free(ptr);
		return NULL;
	}
	return result(heap_realloc(ptr, size));
}

EXPORT void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nmemb, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(ptr, bytes);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	size_t power = HEAP_ALIGNMENT;

	if (alignment > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (power < alignment)
		power *= 2;
	return result(heap_memalign(power, size));
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (!is_power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return result(heap_memalign(alignment, size));
}

EXPORT int posix_memalign(void **ptr, size_t alignment, size_t size)
{
	void *block;

	if (alignment % sizeof(void *) != 0 || !is_power_of_two(alignment))
		return EINVAL;
	block = heap_memalign(alignment, size);
	worker_look();
	if (block == NULL)
		return ENOMEM;
	*ptr = block;
	return 0;
}

EXPORT void *valloc(size_t size)
{
	return result(heap_memalign(os_page_bytes(), size));
}

EXPORT void *pvalloc(size_t size)
{
	size_t page_bytes = os_page_bytes();
	size_t whole;

	if (__builtin_add_overflow(size, page_bytes - 1, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	whole &= ~(page_bytes - 1);
	return result(heap_memalign(page_bytes, whole == 0 ? page_bytes : whole));
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	return heap_usable_size(ptr);
}

#define TRIM_PASS_BYTES ((uint64_t)4 * 1024 * 1024)
/* Passes in a row that give nothing, before the heap is not believed that there is more. */
#define TRIM_BARREN_PASSES 3U

/* Others may free all the time; what was idle at first is the most that is given back. */
EXPORT int malloc_trim(size_t pad)
{
	struct heap_stats stats;
	uint64_t most_bytes;
	uint64_t gone_bytes = 0;
	unsigned barren = 0;
	bool more = true;

	heap_stats_read(&stats);
	/* And something for what no slot covers at the ends of pages. */
	most_bytes = stats.free_slot_bytes + stats.idle_dirty_bytes + stats.lazy_bytes;
	most_bytes += most_bytes / 8;
	while (more && barren < TRIM_BARREN_PASSES && gone_bytes <= most_bytes) {
		struct heap_pass pass = {
			.level = HEAP_FULL,
			.max_bytes = TRIM_PASS_BYTES,
			.cushion_bytes = pad,
			.idle_before_ns = UINT64_MAX,
		};

		heap_scavenge(&pass, HEAP_BY_FULL);
		gone_bytes += pass.clean_bytes;
		barren = pass.clean_bytes == 0 ? barren + 1 : 0;
		more = pass.more;
	}
	return gone_bytes > 0;
}

/*
 * The heap's figures under glibc's names.  arena is what is or may be resident
 * beside large blocks; uordblks and fordblks add up to it.
 */
EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_stats stats;
	struct mallinfo2 info = {0};

	heap_stats_read(&stats);
	info.hblks = stats.large_blocks;
	info.hblkhd = stats.large_bytes;
	info.uordblks = stats.in_use_bytes - stats.free_slot_bytes - stats.large_bytes;
	info.fordblks = stats.free_slot_bytes + stats.idle_dirty_bytes + stats.lazy_bytes;
	info.arena = info.uordblks + info.fordblks;
	info.keepcost = stats.idle_dirty_bytes + stats.lazy_bytes;
	return info;
}

static int as_int(size_t value)
{
	return value > INT32_MAX ? INT32_MAX : (int)value;
}

/* The old form's ints end at 2 GiB; they stay there. */
EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){
		.arena = as_int(wide.arena),
		.hblks = as_int(wide.hblks),
		.hblkhd = as_int(wide.hblkhd),
		.uordblks = as_int(wide.uordblks),
		.fordblks = as_int(wide.fordblks),
		.keepcost = as_int(wide.keepcost),
	};
}

/* Text is made on the stack and written in one call: stdio may allocate, and nothing is held then.
 */
#define STATS_TEXT_BYTES 2048

EXPORT void malloc_stats(void)
{
	char text[STATS_TEXT_BYTES];
	struct heap_stats stats;

	heap_stats_read(&stats);
	snprintf(text, sizeof text,
		"spillway heap\n"
		"mapped bytes     = %20llu\n"
		"in use bytes     = %20llu\n"
		"free slot bytes  = %20llu\n"
		"idle dirty bytes = %20llu\n"
		"lazy bytes       = %20llu\n"
		"clean bytes      = %20llu\n"
		"metadata bytes   = %20llu\n"
		"peak in use      = %20llu\n"
		"large blocks     = %20llu\n"
		"large bytes      = %20llu\n"
		"released bytes   = %20llu background, %llu growth, %llu lazy, %llu eager, %llu "
		"full\n"
		"advise calls     = %20llu in %llu ns\n"
		"refault bytes    = %20llu\n"
		"lock waits       = %20llu in %llu ns, at most %llu ns\n",
		(unsigned long long)stats.mapped_bytes, (unsigned long long)stats.in_use_bytes,
		(unsigned long long)stats.free_slot_bytes,
		(unsigned long long)stats.idle_dirty_bytes, (unsigned long long)stats.lazy_bytes,
		(unsigned long long)stats.clean_bytes, (unsigned long long)stats.metadata_bytes,
		(unsigned long long)stats.peak_in_use_bytes, (unsigned long long)stats.large_blocks,
		(unsigned long long)stats.large_bytes,
		(unsigned long long)stats.released_bytes[HEAP_BACKGROUND],
		(unsigned long long)stats.released_bytes[HEAP_GROWTH],
		(unsigned long long)stats.released_bytes[HEAP_BY_LAZY],
		(unsigned long long)stats.released_bytes[HEAP_BY_EAGER],
		(unsigned long long)stats.released_bytes[HEAP_BY_FULL],
		(unsigned long long)stats.advise_calls, (unsigned long long)stats.advise_ns,
		(unsigned long long)stats.refault_bytes, (unsigned long long)stats.lock_waits,
		(unsigned long long)stats.lock_wait_ns, (unsigned long long)stats.lock_wait_max_ns);
	fputs(text, stderr);
}

EXPORT int malloc_info(int options, FILE *fp)
{
	char text[STATS_TEXT_BYTES];
	struct heap_stats stats;
	struct mallinfo2 info;

	if (options != 0)
		return EINVAL;
	heap_stats_read(&stats);
	info = mallinfo2();
	snprintf(text, sizeof text,
		"<malloc version=\"1\">\n"
		"<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%llu\"/>\n"
		"<aspace type=\"total\" size=\"%llu\"/>\n"
		"<spillway in_use=\"%llu\" free_slots=\"%llu\" idle_dirty=\"%llu\" lazy=\"%llu\""
		" clean=\"%llu\" metadata=\"%llu\" lock_waits=\"%llu\" lock_wait_ns=\"%llu\""
		" lock_wait_max_ns=\"%llu\"/>\n"
		"</malloc>\n",
		info.fordblks, info.hblks, info.hblkhd,
		(unsigned long long)(stats.mapped_bytes - stats.clean_bytes),
		(unsigned long long)stats.mapped_bytes, (unsigned long long)stats.in_use_bytes,
		(unsigned long long)stats.free_slot_bytes,
		(unsigned long long)stats.idle_dirty_bytes, (unsigned long long)stats.lazy_bytes,
		(unsigned long long)stats.clean_bytes, (unsigned long long)stats.metadata_bytes,
		(unsigned long long)stats.lock_waits, (unsigned long long)stats.lock_wait_ns,
		(unsigned long long)stats.lock_wait_max_ns);
	return fputs(text, fp) < 0 ? -1 : 0;
}

/* What glibc's parameters tune does not exist here; a known one is accepted. */
EXPORT int mallopt(int param, int val)
{
	(void)val;
	switch (param) {
	case M_MXFAST:
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}
