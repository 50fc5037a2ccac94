/* Releases that the program asks for itself: malloc_trim and the like. */
#include "shim/trim.h"

#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/level.h"
#include "shim/worker.h"

#include <stdatomic.h>

#define TRIM_PASS_BYTES ((uint64_t)128 * 1024 * 1024)
#define FORK_PASS_BYTES ((uint64_t)1024 * 1024)
/* Passes in a row that give nothing, before the heap is not believed that there is more. */
#define TRIM_BARREN_PASSES 3U

/* Of what this process was forked with, the most that may become idle yet. */
static _Atomic uint64_t inherited_bytes;

uint64_t trim_full(size_t cushion_bytes)
{
	struct heap_request request = {0};
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
			.cushion_bytes = cushion_bytes,
			.idle_before_ns = UINT64_MAX,
			.request = &request,
		};

		heap_scavenge(&pass, HEAP_BY_FULL);
		gone_bytes += pass.clean_bytes;
		barren = pass.clean_bytes == 0 ? barren + 1 : 0;
		more = pass.more;
	}
	return gone_bytes;
}

/* Idle pages, at most so many bytes and within the bounds of a fork; the bytes. */
static uint64_t trim_some(uint64_t most_bytes, enum heap_cause cause)
{
	uint64_t start_ns = os_cpu_ns();
	uint64_t gone_bytes = 0;
	bool more = true;

	if (most_bytes > TRIM_FORK_BYTES)
		most_bytes = TRIM_FORK_BYTES;
	while (more && gone_bytes < most_bytes && os_cpu_ns() - start_ns < TRIM_FORK_NS) {
		struct heap_pass pass = {
			.level = HEAP_EAGER,
			.max_bytes = FORK_PASS_BYTES,
			.idle_before_ns = UINT64_MAX,
		};

		heap_scavenge(&pass, cause);
		gone_bytes += pass.clean_bytes;
		more = pass.more && pass.clean_bytes != 0;
	}
	return gone_bytes;
}

static uint64_t idle_bytes(void)
{
	struct page_stats pages;

	page_heap_stats(&pages);
	return (pages.dirty + pages.lazy) * PAGE_BYTES;
}

void trim_before_fork(void)
{
	if (level_in_force(os_now_ns()) >= HEAP_EAGER && !heap_is_inside() && idle_bytes() != 0)
		(void)trim_some(UINT64_MAX, HEAP_BY_EAGER);
}

void trim_fork_child(bool is_limited)
{
	struct page_stats pages = {0};

	if (is_limited && !heap_is_inside())
		page_heap_stats(&pages);
	atomic_store(&inherited_bytes, (pages.in_use + pages.dirty + pages.lazy) * PAGE_BYTES);
}

/* What is idle beyond what the process has grown by since was inherited.  Usage does not fall by
 * it, so it counts as given back at calm. */
bool trim_inherited(void)
{
	uint64_t left_bytes = atomic_load(&inherited_bytes);
	uint64_t own_bytes = worker_grown_bytes();
	uint64_t gone_bytes = 0;
	uint64_t idle;

	if (left_bytes == 0 || heap_is_inside())
		return left_bytes != 0;
	idle = idle_bytes();
	if (idle > own_bytes)
		gone_bytes = trim_some(idle - own_bytes, HEAP_BACKGROUND);
	left_bytes = left_bytes > gone_bytes ? left_bytes - gone_bytes : 0;
	atomic_store(&inherited_bytes, left_bytes);
	return left_bytes != 0;
}
