/* malloc and its family, exported. */
#include "shim/alias.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/trace.h"
#include "shim/trim.h"
#include "shim/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
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
 * posix_memalign sets it with ENOMEM and not with EINVAL.
 *
 * The names in __libc_ are those under which glibc exports the same functions.
 * Programs that define a part of the family themselves get blocks by these
 * (malloc that counts and calls __libc_malloc), and what they do not define they get
 * from us: all must come from one heap.
 */

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect((condition), 1)
#define UNLIKELY(condition) __builtin_expect((condition), 0)

/* What stdlib.h and malloc.h do not declare: an old name, and operators by their mangled ones. */
void cfree(void *ptr);
void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t alignment, size_t size);

static void *block_or_errno(void *ptr)
{
	if (UNLIKELY(ptr == NULL))
		errno = ENOMEM;
	return ptr;
}

/* What the heap was asked for, and what it gave. */
static void *result(enum trace_op op, size_t alignment, size_t size, void *ptr)
{
	trace_look(op, alignment, size, ptr);
	return block_or_errno(ptr);
}

static void *aligned(size_t alignment, size_t size)
{
	return result(TRACE_MEMALIGN, alignment, size, heap_memalign(alignment, size));
}

static bool is_power_of_two(size_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static __attribute__((noinline)) void *malloc_slow(size_t size)
{
	return result(TRACE_MALLOC, 0, size, heap_malloc(size));
}

EXPORT void *malloc(size_t size)
{
	void *block = heap_malloc_fast(size);

	return LIKELY(block != NULL) ? block : malloc_slow(size);
}

static __attribute__((noinline)) void free_slow(void *ptr)
{
	if (ptr == NULL)
		return;
	trace_look_free(ptr);
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
	return result(TRACE_CALLOC, 0, nmemb * size, heap_calloc(nmemb, size));
}

EXPORT void *realloc(void *ptr, size_t size)
{
	if (UNLIKELY(size == 0 && ptr != NULL)) {
		free(ptr);
		return NULL;
	}
	ptr = UNLIKELY(trace_is_on()) ? trace_realloc(ptr, size) : heap_realloc(ptr, size);
	worker_look();
	return block_or_errno(ptr);
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
	return aligned(power, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (!is_power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return aligned(alignment, size);
}

EXPORT int posix_memalign(void **ptr, size_t alignment, size_t size)
{
	void *block;

	if (alignment % sizeof(void *) != 0 || !is_power_of_two(alignment))
		return EINVAL;
	block = heap_memalign(alignment, size);
	trace_look(TRACE_MEMALIGN, alignment, size, block);
	if (block_or_errno(block) == NULL)
		return ENOMEM;
	*ptr = block;
	return 0;
}

EXPORT void *valloc(size_t size)
{
	return aligned(os_page_bytes(), size);
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
	return aligned(page_bytes, whole == 0 ? page_bytes : whole);
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	return heap_usable_size(ptr);
}

EXPORT int malloc_trim(size_t pad)
{
	return trim_full(pad) > 0;
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

ALIAS(__libc_malloc, malloc);
ALIAS(__libc_free, free);
ALIAS(__libc_calloc, calloc);
ALIAS(__libc_realloc, realloc);
ALIAS(__libc_memalign, memalign);
ALIAS(__libc_valloc, valloc);
ALIAS(__libc_pvalloc, pvalloc);
ALIAS(__libc_mallopt, mallopt);
