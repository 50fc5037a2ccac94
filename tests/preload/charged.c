#include "tests/preload/check.h"

#include <malloc.h>
#include <sys/wait.h>

/*
 * What is private and writable is charged where memory is not overcommitted, and lies in
 * a core file, whether it is used or not: after malloc_trim it is about as little as
 * before.  With "counted": as the kernel counts it in Committed_AS, which is the whole
 * machine's, and a process of half the limit can fork then.
 */
#define HEAP_BYTES (150 * MIB)
#define REST_BYTES (16 * MIB)

static long committed_kib(void)
{
	return check_proc_number("/proc/meminfo", "Committed_AS", 10);
}

static size_t writable_bytes(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	size_t sum = 0;

	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL) {
		unsigned long start;
		unsigned long end;
		char rights[5];

		CHECK(sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3);
		if (rights[1] == 'w' && rights[3] == 'p')
			sum += end - start;
	}
	fclose(maps);
	return sum;
}

static void **fill(size_t size)
{
	void **chain = NULL;

	for (size_t i = 0; i < HEAP_BYTES / size; i++) {
		void **block = check_opaque(malloc(size));

		CHECK(block != NULL);
		memset(block, 1, size);
		*block = chain;
		chain = block;
	}
	return chain;
}

static void drop(void **chain)
{
	while (chain != NULL) {
		void **next = *chain;

		free(chain);
		chain = next;
	}
	malloc_trim(0);
}

static void check_fork(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		drop(fill(100000));
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments)
{
	bool counted = count > 1 && strcmp(arguments[1], "counted") == 0;
	size_t before = writable_bytes();
	long before_kib = committed_kib();

	for (size_t size = 300; size <= 300000; size *= 10) {
		void **chain = fill(size);
		size_t full = writable_bytes();
		long full_kib = committed_kib();

		drop(chain);
		printf("%zu MiB in blocks of %zu: writable %zu MiB, %zu after; committed %+ld MiB, "
		       "%+ld after\n",
			HEAP_BYTES / MIB, size, full / MIB, writable_bytes() / MIB,
			(full_kib - before_kib) / 1024, (committed_kib() - before_kib) / 1024);
		fflush(stdout);
		CHECK(writable_bytes() <= before + REST_BYTES);
		CHECK(!counted || committed_kib() <= before_kib + (long)(REST_BYTES / KIB));
		check_fork();
	}
	return 0;
}
