#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * What the texts say of every block, whoever made it: C11 7.22.3 and C23 7.24.3,
 * POSIX.1-2017 and 2024, and the manual's pages malloc, posix_memalign and
 * malloc_usable_size.  Arguments and errno of single calls are in rules.c,
 * alignments in alignment.c, zeros in zeroed.c, sizes and contents of realloc in
 * resized.c.
 */
static void *by_malloc(size_t size)
{
	return malloc(size);
}

static void *by_calloc(size_t size)
{
	return calloc(size, 1);
}

static void *by_realloc(size_t size)
{
	return realloc(NULL, size);
}

static void *by_reallocarray(size_t size)
{
	return reallocarray(NULL, 1, size);
}

static void *by_memalign(size_t size)
{
	return memalign(64, size);
}

static void *by_aligned_alloc(size_t size)
{
	return aligned_alloc(256, size);
}

static void *by_posix_memalign(size_t size)
{
	void *block = NULL;

	return posix_memalign(&block, 32, size) == 0 ? block : NULL;
}

static void *by_valloc(size_t size)
{
	return valloc(size);
}

static void *by_pvalloc(size_t size)
{
	return pvalloc(size);
}

static void *(*const makers[])(size_t size) = {by_malloc, by_calloc, by_realloc, by_reallocarray,
	by_memalign, by_aligned_alloc, by_posix_memalign, by_valloc, by_pvalloc};
static const size_t sizes[] = {0, 1, 2, 7, 16, 17, 100, 2048, 2049, 5000, 40000, 200000, 3 * MIB};

#define MAKERS (sizeof makers / sizeof *makers)
#define SIZES (sizeof sizes / sizeof *sizes)

static unsigned char *blocks[MAKERS][SIZES];

static unsigned char *make(size_t maker, size_t i)
{
	unsigned char *block = check_opaque(makers[maker](check_hidden(sizes[i])));

	CHECK(block != NULL);
	return block;
}

static unsigned char mark_of(size_t maker, size_t i)
{
	return (unsigned char)(1 + maker * SIZES + i);
}

static void check_marks(size_t maker, size_t i, size_t bytes)
{
	for (size_t at = 0; at < bytes; at++)
		CHECK(blocks[maker][i][at] == mark_of(maker, i));
}

/* C 7.22.3: a block is aligned for any object that fits it, and is disjoint from every other; its
 * first byte is the lowest.  malloc_usable_size: it has at least the bytes asked for, and all that
 * it has may be used. */
static void *make_all(void *unused)
{
	for (size_t maker = 0; maker < MAKERS; maker++) {
		for (size_t i = 0; i < SIZES; i++) {
			unsigned char *block = make(maker, i);
			size_t usable = malloc_usable_size(block);

			CHECK(usable >= sizes[i] && malloc_usable_size(block) == usable);
			CHECK((uintptr_t)block % _Alignof(max_align_t) == 0);
			memset(block, mark_of(maker, i), usable);
			blocks[maker][i] = block;
		}
	}
	return unused;
}

static void check_all(void)
{
	for (size_t maker = 0; maker < MAKERS; maker++)
		for (size_t i = 0; i < SIZES; i++)
			check_marks(maker, i, malloc_usable_size(blocks[maker][i]));
}

/* C 7.22.3.5, and POSIX: realloc takes a block of any of these, and what both sizes have stays. */
static void resize_all(void)
{
	for (size_t maker = 0; maker < MAKERS; maker++) {
		for (size_t i = 0; i < SIZES; i++) {
			size_t had = malloc_usable_size(blocks[maker][i]);
			size_t size = (maker + i) % 2 == 0 ? had * 2 + 1 : had / 2 + 1;

			blocks[maker][i] = check_opaque(realloc(blocks[maker][i], size));
			CHECK(blocks[maker][i] != NULL);
			check_marks(maker, i, had < size ? had : size);
		}
	}
}

/* POSIX.1-2024, free: errno stays for a null pointer and for every block. */
static void *free_all(void *unused)
{
	for (size_t maker = 0; maker < MAKERS; maker++) {
		for (size_t i = 0; i < SIZES; i++) {
			errno = EXDEV;
			free(blocks[maker][i]);
			CHECK(errno == EXDEV);
		}
	}
	free(NULL);
	CHECK(errno == EXDEV);
	return unused;
}

static void in_a_thread(void *(*run)(void *unused))
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* C 7.22.3: a block lives until it is freed, beyond the thread that made it; any thread frees it,
 * and what fork copies is the child's. */
static void check_lives(void)
{
	int status;
	pid_t child;

	for (int round = 0; round < 3; round++) {
		in_a_thread(make_all);
		check_all();
		resize_all();
		in_a_thread(free_all);
		make_all(NULL);
		child = fork();
		if (child == 0) {
			check_all();
			resize_all();
			free_all(NULL);
			_exit(0);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
		check_all();
		free_all(NULL);
	}
}

/* C17 7.22.3.1: the size need not be a multiple of the alignment.  POSIX: no size is too small. */
static void check_aligned(void)
{
	for (size_t alignment = 1; alignment <= 64 * KIB; alignment *= 2) {
		for (size_t size = 0; size < 200; size += 7) {
			char *block = check_opaque(
				aligned_alloc(check_hidden(alignment), check_hidden(size)));

			CHECK(block != NULL && (uintptr_t)block % alignment == 0);
			memset(block, 1, size);
			free(block);
		}
	}
}

/* The manual, pvalloc: the size is rounded up to whole pages. */
static void check_whole_pages(void)
{
	size_t page = (size_t)getpagesize();

	for (size_t size = 1; size < 20 * page; size += page / 2) {
		void *block = check_opaque(pvalloc(check_hidden(size)));

		CHECK(block != NULL && (uintptr_t)block % page == 0);
		CHECK(malloc_usable_size(block) >= (size + page - 1) / page * page);
		free(block);
	}
}

/* The manual, realloc and reallocarray: no bytes for a block are its free, with errno as it was. */
static void resize_to_nothing(size_t size)
{
	errno = EXDEV;
	CHECK(check_opaque(realloc(check_opaque(malloc(size)), check_hidden(0))) == NULL);
	CHECK(check_opaque(reallocarray(check_opaque(malloc(size)), 7, check_hidden(0))) == NULL);
	CHECK(check_opaque(reallocarray(check_opaque(malloc(size)), check_hidden(0), 7)) == NULL);
	CHECK(errno == EXDEV);
}

/* C 7.22.3.3 and 7.22.3.5: what was freed, and what realloc moved away from, can be had again:
 * where there is room for three of these blocks, and by far not for all. */
static void check_reuse(void)
{
	struct rlimit limit;
	long had_kib = check_proc_number("/proc/self/status", "VmData", 10);

	CHECK(had_kib > 0);
	limit.rlim_cur = limit.rlim_max = (size_t)had_kib * KIB + 300 * MIB;
	CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
	for (size_t round = 0; round < 100; round++) {
		for (size_t size = 100; size <= 30 * MIB; size *= 8) {
			char *block = check_opaque(malloc(size + round * 64));
			char *moved = check_opaque(realloc(block, size * 2));

			CHECK(moved != NULL);
			free(moved);
			resize_to_nothing(size);
		}
	}
}

int main(void)
{
	int status;
	pid_t child;

	check_lives();
	check_aligned();
	check_whole_pages();
	resize_to_nothing(100);
	child = fork();
	if (child == 0) {
		check_reuse();
		return 0;
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	return 0;
}
