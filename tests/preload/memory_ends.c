#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * Address space ends at one place after another, in a child each: so
 * many KiB beyond what is mapped.  Every call gives memory or NULL with ENOMEM, and
 * leaves what there is as it was; threads and forks fail or work; and once the
 * limit is lifted, everything is there again.
 */
#define BLOCKS 300
#define STEP_KIB 68

static unsigned char *blocks[BLOCKS];
static size_t bytes[BLOCKS];
static unsigned refused;

static size_t size_of(size_t i)
{
	static const size_t sizes[] = {24, 100, 700, 3000, 20000, 70000, 300000, 9000, 50, 1500};

	return i % 90 == 89 ? MIB : sizes[i % 10] + i;
}

static void check_block(size_t i, size_t size)
{
	CHECK(size == 0 ||
		(blocks[i][0] == (unsigned char)i && blocks[i][size / 2] == (unsigned char)i &&
			blocks[i][size - 1] == (unsigned char)i));
}

/* ENOMEM with NULL, no errno otherwise. */
static void *obtained(void *block, size_t i, size_t size)
{
	CHECK(block != NULL ? errno == 0 : errno == ENOMEM);
	errno = 0;
	if (block == NULL) {
		refused++;
		return NULL;
	}
	CHECK(malloc_usable_size(block) >= size);
	memset(block, (int)i, size);
	bytes[i] = size;
	return block;
}

static void take(size_t i)
{
	size_t size = size_of(i);
	void *block = NULL;

	errno = 0;
	switch (i % 5) {
	case 0:
		block = calloc(1, size);
		for (size_t j = 0; block != NULL && j < size; j++)
			CHECK(((char *)block)[j] == 0);
		break;
	case 1:
		block = aligned_alloc((size_t)64 << i % 12, size);
		break;
	case 2:
		if (posix_memalign(&block, 4096, size) != 0) {
			CHECK(block == NULL && errno == 0);
			errno = ENOMEM;
		}
		break;
	default:
		block = malloc(size);
		break;
	}
	blocks[i] = obtained(check_opaque(block), i, size);
}

static void change(size_t i)
{
	size_t had = bytes[i];
	size_t size = i % 3 == 0 ? had / 3 + 1 : had * 2;
	void *block;

	errno = 0;
	block = realloc(blocks[i], size);
	if (block == NULL) {
		CHECK(errno == ENOMEM && size > had);
		check_block(i, had);
		refused++;
		return;
	}
	CHECK(errno == 0);
	blocks[i] = block;
	check_block(i, size < had && had / 2 >= size ? 0 : had);
	memset(block, (int)i, size);
	bytes[i] = size;
}

static void *allocate(void *unused)
{
	for (size_t size = 1; size < MIB; size *= 2)
		free(check_opaque(malloc(size)));
	return unused;
}

static void use_others(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int status;
	pid_t child;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * KIB);
	if (pthread_create(&thread, &attributes, allocate, NULL) == 0)
		CHECK(pthread_join(thread, NULL) == 0);
	child = fork();
	if (child == 0) {
		allocate(NULL);
		for (size_t i = 0; i < BLOCKS; i++)
			free(blocks[i]);
		allocate(NULL);
		_exit(0);
	}
	CHECK(child < 0 || (waitpid(child, &status, 0) == child && status == 0));
}

static void use_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		take(i);
	for (size_t i = 0; i < BLOCKS; i += 2)
		if (blocks[i] != NULL)
			change(i);
	use_others();
	for (size_t i = 0; i < BLOCKS; i += 3) {
		free(blocks[i]);
		blocks[i] = NULL;
		bytes[i] = 0;
	}
	errno = 0;
	malloc_trim(0);
	CHECK(errno == 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		if (blocks[i] != NULL)
			check_block(i, bytes[i]);
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

static size_t used_bytes(void)
{
	struct mallinfo2 info;

	malloc_trim(0);
	info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

/* 0 when nothing was refused, 1 when something was and was survived. */
static _Noreturn void attempt(size_t beyond_kib)
{
	struct rlimit limit = {.rlim_max = RLIM_INFINITY};
	long mapped_kib = check_proc_number("/proc/self/status", "VmSize", 10);
	size_t before_bytes;

	check_hang();
	limit.rlim_cur = ((rlim_t)mapped_kib + beyond_kib) * KIB;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	use_all();
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	beyond_kib = refused;
	refused = 0;
	use_all();
	CHECK(refused == 0);
	before_bytes = used_bytes();
	use_all();
	CHECK(refused == 0 && used_bytes() <= before_bytes + 64 * KIB);
	_exit(beyond_kib != 0 ? 10 : 0);
}

static size_t step_kib(size_t beyond_kib)
{
	size_t wider_kib = beyond_kib / 8 / check_soak(1);

	return wider_kib > STEP_KIB ? wider_kib : STEP_KIB;
}

int main(void)
{
	unsigned short_of = 0;
	int enough = 0;

	/* Nothing was allocated yet, so that every call of the heap's own start can be refused. */
	for (size_t beyond_kib = 0; enough < 3; beyond_kib += step_kib(beyond_kib)) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0)
			attempt(beyond_kib);
		CHECK(waitpid(child, &status, 0) == child);
		if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 10)) {
			fprintf(stderr, "%zu KiB beyond: status %#x\n", beyond_kib,
				(unsigned)status);
			return 1;
		}
		short_of += WEXITSTATUS(status) == 10;
		enough += WEXITSTATUS(status) == 0;
	}
	printf("memory ended in %u places\n", short_of);
	return short_of > 3 ? 0 : 1;
}
