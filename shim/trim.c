#include "shim/trim.h"

#include "shim/heap/heap.h"

#include <stdbool.h>

#define TRIM_PASS_BYTES ((uint64_t)4 * 1024 * 1024)
/* Passes in a row that give nothing, before the heap is not believed that there is more. */
#define TRIM_BARREN_PASSES 3U

uint64_t trim_full(size_t cushion_bytes)
{
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
		};

		heap_scavenge(&pass, HEAP_BY_FULL);
		gone_bytes += pass.clean_bytes;
		barren = pass.clean_bytes == 0 ? barren + 1 : 0;
		more = pass.more;
	}
	return gone_bytes;
}
