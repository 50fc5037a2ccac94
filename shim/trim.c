/* Releases that the program asks for itself: malloc_trim and the like. */
#include "shim/trim.h"

#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/level.h"

#include <stdbool.h>

#define TRIM_PASS_BYTES ((uint64_t)128 * 1024 * 1024)
#define FORK_PASS_BYTES ((uint64_t)1024 * 1024)
/* Passes in a row that give nothing, before the heap is not believed that there is more. */
#define TRIM_BARREN_PASSES 3U

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

void trim_before_fork(void)
{
	uint64_t start_ns = os_cpu_ns();
	uint64_t gone_bytes = 0;
	struct heap_stats stats;
	bool more = true;

	if (level_in_force(os_now_ns()) < HEAP_EAGER || heap_is_inside())
		return;
	heap_stats_read(&stats);
	if (stats.idle_dirty_bytes + stats.lazy_bytes == 0)
		return;
	while (more && gone_bytes < TRIM_FORK_BYTES && os_cpu_ns() - start_ns < TRIM_FORK_NS) {
		struct heap_pass pass = {
			.level = HEAP_EAGER,
			.max_bytes = FORK_PASS_BYTES,
			.idle_before_ns = UINT64_MAX,
		};

		heap_scavenge(&pass, HEAP_BY_EAGER);
		gone_bytes += pass.clean_bytes;
		more = pass.more && pass.clean_bytes != 0;
	}
}
