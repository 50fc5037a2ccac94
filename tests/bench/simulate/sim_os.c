#include "tests/bench/simulate/sim_os.h"

#include "shim/heap/pages/page_heap_state.h"
#include "tests/bench/simulate/cost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TICK_NS 4000000U

struct sim_os sim_os = {.now_ns = SIM_OS_START_NS};

/* By the linker (--wrap): the heap's memcpy and memset, which leave blocks alone. */
void *__real_memcpy(void *to, const void *from, size_t bytes);
void *__wrap_memcpy(void *to, const void *from, size_t bytes);
void *__real_memset(void *to, int value, size_t bytes);
void *__wrap_memset(void *to, int value, size_t bytes);

/* The region whose blocks the address is among, or NULL. */
static struct region *block_region(const void *address)
{
	struct region *region = page_heap_region((uintptr_t)address);

	if (region == NULL || region_page(region, (uintptr_t)address) >= region->committed)
		return NULL;
	return region;
}

void *__wrap_memcpy(void *to, const void *from, size_t bytes)
{
	return block_region(to) != NULL ? to : __real_memcpy(to, from, bytes);
}

void *__wrap_memset(void *to, int value, size_t bytes)
{
	return block_region(to) != NULL ? to : __real_memset(to, value, bytes);
}

size_t os_page_bytes(void)
{
	return PAGE_BYTES;
}

void *os_reserve(size_t bytes, size_t alignment)
{
	size_t slack = alignment > PAGE_BYTES ? alignment : 0;
	void *start = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	return (void *)round_up((uintptr_t)start, alignment);
}

enum os_reserved os_reserve_at(void *start, size_t bytes)
{
	void *got = mmap(start, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	return got == start ? OS_RESERVED : OS_OCCUPIED;
}

int os_commit(void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
	return 0;
}

int os_decommit(void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
	return 0;
}

void os_unreserve(void *start, size_t bytes)
{
	munmap(start, bytes);
}

void *os_map(size_t bytes, size_t alignment)
{
	return os_reserve(bytes, alignment);
}

int os_unmap(void *start, size_t bytes)
{
	return munmap(start, bytes);
}

/* Blocks have no content here. */
int os_map_resize(void *start, size_t bytes, size_t new_bytes)
{
	(void)start;
	return new_bytes < bytes ? 0 : -ENOMEM;
}

int os_map_move(void *start, size_t bytes, void *to, size_t new_bytes)
{
	(void)to;
	(void)new_bytes;
	return munmap(start, bytes);
}

int os_move_pages(void *start, size_t bytes, void *to)
{
	(void)start;
	(void)bytes;
	(void)to;
	return 0;
}

static void spend(uint64_t ns)
{
	sim_os.now_ns += ns;
	sim_os.cpu_ns += ns;
}

static void advise_block(const struct region *region, const struct os_range *range, bool away)
{
	size_t page = region_page(region, (uintptr_t)range->start);
	struct page_counts pages = region_count(region, page, range->bytes / PAGE_BYTES);

	if (away) {
		sim_os.gone_dirty_pages += pages.dirty;
		sim_os.gone_lazy_pages += pages.lazy;
		spend(pages.dirty * COST_PAGE_OF(COST_DONTNEED_NS) +
			pages.lazy * COST_PAGE_OF(COST_LAZY_GONE_NS));
	} else {
		sim_os.free_pages += pages.dirty;
		spend(pages.dirty * COST_PAGE_OF(COST_FREE_NS) +
			pages.lazy * COST_PAGE_OF(COST_FREE_AGAIN_NS));
	}
	spend(pages.clean * COST_NOTHING_NS);
}

/* Whose pages count as resident: few, and what they are like the heap alone knows. */
static void advise_other(const struct os_range *range, enum os_advice advice)
{
	static const uint32_t page_ns[] = {
		[OS_FREE] = COST_PAGE_OF(COST_FREE_NS),
		[OS_DONTNEED] = COST_PAGE_OF(COST_DONTNEED_NS),
		[OS_POPULATE] = COST_REFAULT_NS,
	};

	if (advice == OS_DONTNEED)
		madvise(range->start, range->bytes, MADV_DONTNEED);
	spend(range->bytes / PAGE_BYTES * page_ns[advice]);
}

int os_advise(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	sim_os.last_advice = advice;
	sim_os.advise_calls++;
	sim_os.advise_ranges += count;
	for (size_t i = 0; i < count; i++) {
		const struct region *region = block_region(ranges[i].start);

		spend(COST_RANGE_NS);
		if (region != NULL && advice != OS_POPULATE)
			advise_block(region, &ranges[i], advice == OS_DONTNEED);
		else
			advise_other(&ranges[i], advice);
	}
	return 0;
}

/* The background measures what a fault costs by pages that have just gone, and again after it
 * freed them lazily. */
void os_touch(void *start, size_t bytes)
{
	(void)start;
	spend(bytes / PAGE_BYTES *
		(sim_os.last_advice == OS_FREE ? COST_LAZY_REUSE_NS : COST_REFAULT_NS));
}

/* Whoever takes memory uses all of it here. */
bool os_tells_resident(void)
{
	return true;
}

size_t os_resident_bytes(const void *start, size_t bytes)
{
	(void)start;
	return bytes;
}

size_t os_resident_pages(const void *start, size_t pages, uint64_t *resident)
{
	(void)start;
	for (size_t i = 0; i < pages; i++)
		resident[i / 64] |= (uint64_t)1 << i % 64;
	return pages;
}

bool os_has_huge_pages(void)
{
	return false;
}

bool os_is_sandboxed(void)
{
	return false;
}

int os_fence_threads(void)
{
	return 0;
}

void os_fence_prepare(void)
{
}

uint32_t os_thread_id(void)
{
	return 1;
}

uint64_t os_now_ns(void)
{
	return sim_os.now_ns;
}

uint64_t os_now_coarse_ns(void)
{
	return sim_os.now_ns - sim_os.now_ns % TICK_NS;
}

uint64_t os_cpu_ns(void)
{
	return sim_os.cpu_ns;
}

void os_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	(void)word;
	(void)expected;
	if (timeout_ns == UINT64_MAX)
		os_panic("simulate: the only thread waits for ever", word);
	sim_os.now_ns += timeout_ns;
}

void os_wake(const uint32_t *word, uint32_t count)
{
	(void)word;
	(void)count;
}

void os_panic(const char *what, const void *address)
{
	fprintf(stderr, "%s %p\n", what, address);
	abort();
}
