/* Live memory that is built, worked on and freed, and counted over all processes. */
#include "tests/bench/survival/load.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEEP 12
#define USES 2

struct load_shape {
	const char *name;
	unsigned least_shift;
	unsigned shifts;
	bool drifts;
};

struct load_block {
	struct load_block *next;
	size_t bytes;
};

static const struct load_shape shapes[] = {
	{.name = "mixed", .least_shift = 4, .shifts = 12},
	{.name = "tiny", .least_shift = 4, .shifts = 2},
	{.name = "large", .least_shift = 16, .shifts = 4},
	{.name = "drift", .least_shift = 11, .shifts = 6, .drifts = true},
};

static volatile uint64_t used_hash;

const struct load_shape *load_shape(const char *name)
{
	for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	return NULL;
}

struct load_live *load_share(const char *file)
{
	int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
	int flags = file != NULL ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
	void *live = mmap(NULL, sizeof(struct load_live), PROT_READ | PROT_WRITE, flags, fd, 0);
	if (live == MAP_FAILED)
		_exit(3);
	if (fd >= 0)
		close(fd);
	return live;
}

void load_step_wait(struct load_live *live, uint32_t step)
{
	uint32_t now;
	while ((now = atomic_load(&live->step)) < step)
		syscall(SYS_futex, &live->step, FUTEX_WAIT, now, NULL, NULL, 0);
}

void load_step_set(struct load_live *live, uint32_t step)
{
	atomic_store(&live->step, step);
	syscall(SYS_futex, &live->step, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void live_add(struct load_live *live, uint64_t bytes)
{
	uint64_t sum = atomic_fetch_add(&live->bytes, bytes) + bytes;
	uint64_t peak = atomic_load(&live->peak_bytes);
	while (sum > peak && !atomic_compare_exchange_weak(&live->peak_bytes, &peak, sum))
		;
}

static void live_sub(struct load_live *live, uint64_t bytes)
{
	atomic_fetch_sub(&live->bytes, bytes);
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t block_bytes(struct load *load, const struct load_shape *shape)
{
	uint64_t random = random_next(&load->seed);
	uint64_t which = shape->drifts ? load->built : random;
	size_t least = (size_t)1 << (shape->least_shift + which % shape->shifts);
	return least + (size_t)(random >> 32) % least;
}

/* Frees all but one block in keep; 0: all. */
static size_t free_blocks(struct load *load, unsigned keep)
{
	struct load_block **at = &load->blocks;
	size_t sum = 0;
	while (*at != NULL) {
		struct load_block *block = *at;
		if (keep != 0 && random_next(&load->seed) % keep == 0) {
			at = &block->next;
			continue;
		}
		*at = block->next;
		sum += block->bytes;
		free(block);
	}
	return sum;
}

void load_free(struct load *load, bool counted)
{
	size_t sum = free_blocks(load, 0);
	if (counted)
		live_sub(load->live, sum);
}

void load_let_go(struct load *load)
{
	live_sub(load->live, free_blocks(load, KEEP));
}

void load_build(struct load *load, const struct load_shape *shape, size_t bytes)
{
	size_t sum = 0;
	load_free(load, true);
	while (sum < bytes) {
		size_t more = block_bytes(load, shape);
		struct load_block *block = malloc(more);
		if (block == NULL)
			_exit(3);
		memset(block, 1, more);
		block->next = load->blocks;
		block->bytes = more;
		load->blocks = block;
		sum += more;
	}
	load->built++;
	live_add(load->live, sum);
}

void load_use(const struct load *load)
{
	uint64_t hash = 14695981039346656037U;
	for (unsigned round = 0; round < USES; round++)
		for (const struct load_block *block = load->blocks; block != NULL;
			block = block->next)
			for (size_t i = 0; i < block->bytes / sizeof(uint64_t); i++)
				hash = (hash ^ ((const uint64_t *)(const void *)block)[i]) *
				       1099511628211U;
	used_hash = hash;
}
