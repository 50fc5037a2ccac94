#include "tests/preload/check.h"

#include <sys/wait.h>

/*
 * Buffers that grow in turn by realloc, each in the way of the others: what is resident at the peak
 * is at most 1.02 times what lives, and the content is kept.  A child for each case, since the
 * peak is a process's.
 */
#define BUFFERS_MAX 3
#define PAGE 4096

struct growth {
	size_t buffers;
	size_t from_mib;
	size_t to_mib;
	size_t percent; /* a step */
};

static const struct growth growths[] = {
	{1, 8, 150, 25},
	{2, 30, 110, 25},
	{2, 5, 60, 60},
	{3, 5, 40, 10},
	{2, 150, 300, 100},
};

static long peak_kib(void)
{
	return check_proc_number("/proc/self/status", "VmHWM", 10);
}

static void fill(char *block, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += PAGE)
		*(size_t *)(block + at) = at;
}

static void check_filled(const char *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE)
		CHECK(*(const size_t *)(block + at) == at);
}

static void grow(const struct growth *growth)
{
	char *blocks[BUFFERS_MAX] = {NULL};
	size_t bytes = growth->from_mib * MIB;
	long before_kib = peak_kib();
	long grown_kib;
	long live_kib;

	for (size_t i = 0; i < growth->buffers; i++) {
		blocks[i] = check_opaque(malloc(bytes));
		CHECK(blocks[i] != NULL);
		fill(blocks[i], 0, bytes);
	}
	while (bytes < growth->to_mib * MIB) {
		size_t more = (bytes + bytes / 100 * growth->percent) & ~(size_t)(PAGE - 1);

		for (size_t i = 0; i < growth->buffers; i++) {
			blocks[i] = check_opaque(realloc(blocks[i], more));
			CHECK(blocks[i] != NULL);
			fill(blocks[i], bytes, more);
		}
		bytes = more;
	}
	grown_kib = peak_kib() - before_kib;
	live_kib = (long)(growth->buffers * bytes / KIB);
	printf("%zu buffers of %zu MiB: %ld KiB at the peak, %ld KiB live\n", growth->buffers,
		bytes / MIB, grown_kib, live_kib);
	fflush(stdout);
	CHECK(grown_kib <= live_kib / 100 * 102 + 512);
	for (size_t i = 0; i < growth->buffers; i++) {
		check_filled(blocks[i], bytes);
		free(blocks[i]);
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof growths / sizeof growths[0]; i++) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			grow(&growths[i]);
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
	return 0;
}
