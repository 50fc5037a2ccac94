#include "tests/support/heap_fresh.h"

#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "tests/support/fake_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern unsigned char heap_state_start[];
extern unsigned char heap_state_end[];

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "a fresh heap: %s\n", what);
	abort();
}

/* A file of what the variables were at the first call, which is before the heap's first use. */
static int first_state(size_t bytes)
{
	static int file = -1;
	struct heap_stats stats;

	if (file >= 0)
		return file;
	heap_stats_read(&stats);
	require(stats.mapped_bytes == 0, "it was used before");
	file = memfd_create("heap state", MFD_CLOEXEC);
	require(file >= 0, "no file for its state");
	/* A bare call: ASan's write minds what lies between variables. */
	require(syscall(SYS_write, file, heap_state_start, bytes) == (long)bytes,
		"its state is not written");
	return file;
}

void heap_fresh(void)
{
	size_t bytes = (size_t)(heap_state_end - heap_state_start);
	int file = first_state(bytes);

	require(fake_os_unmap(), "too much was mapped");
	/* Private pages over the variables: only what is written to is copied. */
	require(mmap(heap_state_start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file,
			0) == heap_state_start,
		"its state is not mapped");
	fake_os = (struct fake_os){.calls = 0};
	cache_self = &cache_none;
}
