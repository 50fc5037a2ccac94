#include "shim/heap/background.h"

#include "shim/heap/os.h"

#include <stdatomic.h>

#define MS_NS ((uint64_t)1000000)
#define MIB ((uint64_t)1 << 20)

#define IDLE_NS (3000 * MS_NS)
#define STEP_NS ((int64_t)MS_NS)
#define AGAIN_NS (5 * MS_NS)
#define PAUSE_NS (1000 * MS_NS)
#define QUANTUM_BYTES ((uint64_t)256 << 10)
/* Steps that give nothing, seconds beyond the age at which things go, before what is idle
 * counts as out of reach; a larger change of it begins anew. */
#define STEPS_BARREN 6U
#define CHANGE_BYTES ((uint64_t)64 << 10)

static struct {
	_Atomic uint32_t policy;
	_Atomic bool dontneed_only;
	_Atomic uint32_t cpu_permille;
	_Atomic uint64_t price_ns;
} tuning = {.cpu_permille = HEAP_CPU_PERMILLE, .price_ns = HEAP_PRICE_NS};

static struct {
	uint64_t idle_bytes; /* what steps left */
	uint32_t steps;      /* so many of them gave nothing */
	bool begun;
	int64_t saved_ns; /* working time that may be spent; below 0: a debt */
	uint64_t saved_at_ns;
} work;

static _Atomic uint64_t spent_total_ns;

void heap_tune(const struct heap_tuning *now)
{
	atomic_store_explicit(&tuning.policy, now->policy, memory_order_relaxed);
	atomic_store_explicit(&tuning.dontneed_only, now->dontneed_only, memory_order_relaxed);
	atomic_store_explicit(&tuning.cpu_permille,
		now->cpu_permille == 0 || now->cpu_permille > 1000 ? HEAP_CPU_PERMILLE
								   : now->cpu_permille,
		memory_order_relaxed);
	atomic_store_explicit(&tuning.price_ns, now->price_ns != 0 ? now->price_ns : HEAP_PRICE_NS,
		memory_order_relaxed);
}

/* Whether nothing is left to do: only the cushion is idle, or what stays in spite of some
 * steps, while the heap was hardly used. */
static bool is_clean(
	const struct heap_stats *stats, uint64_t cushion_bytes, uint64_t released_bytes)
{
	uint64_t idle_bytes = stats->idle_dirty_bytes + stats->lazy_bytes + stats->free_slot_bytes;
	uint64_t before_bytes = work.idle_bytes;
	uint64_t change_bytes =
		idle_bytes > before_bytes ? idle_bytes - before_bytes : before_bytes - idle_bytes;

	work.steps++;
	if (released_bytes != 0 || change_bytes > CHANGE_BYTES) {
		work.steps = 0;
		work.idle_bytes = idle_bytes;
	}
	return idle_bytes <= cushion_bytes || work.steps >= STEPS_BARREN;
}

/* How long to sleep after so much work: until the next step is saved up for. */
static uint64_t pause_for(uint64_t pause_ns, uint64_t now_ns, uint64_t spent_ns)
{
	uint64_t permille = atomic_load_explicit(&tuning.cpu_permille, memory_order_relaxed);
	int64_t most_ns = (int64_t)(permille * 4 * MS_NS);
	uint64_t flow_share = 2000 / permille;
	int64_t missing_ns;

	if (!work.begun)
		work.saved_ns = most_ns;
	else
		work.saved_ns += (int64_t)((now_ns - work.saved_at_ns) / flow_share);
	work.begun = true;
	work.saved_at_ns = now_ns;
	if (work.saved_ns > most_ns)
		work.saved_ns = most_ns;
	work.saved_ns -= (int64_t)spent_ns;
	missing_ns = STEP_NS - work.saved_ns;
	if (missing_ns > 0 && pause_ns < (uint64_t)missing_ns * flow_share)
		pause_ns = (uint64_t)missing_ns * flow_share;
	return pause_ns;
}

static uint64_t ago_ns(uint64_t now_ns, uint64_t ns)
{
	return now_ns > ns ? now_ns - ns : 0;
}

uint64_t heap_background(uint64_t now_ns)
{
	uint64_t start_ns = os_cpu_ns();
	uint64_t spent_ns = 0;
	uint64_t released_bytes = 0;
	uint64_t cushion_bytes;
	struct heap_stats stats;
	bool more = true;

	heap_stats_read(&stats);
	cushion_bytes = MIB + stats.in_use_bytes / 16;
	while (more && spent_ns < (uint64_t)STEP_NS) {
		struct heap_pass pass = {
			.level = HEAP_EAGER,
			.max_bytes = QUANTUM_BYTES,
			.cushion_bytes = cushion_bytes,
			.idle_before_ns = ago_ns(now_ns, IDLE_NS),
			.slabs_idle_before_ns = ago_ns(now_ns, IDLE_NS),
		};

		heap_scavenge(&pass, HEAP_BACKGROUND);
		released_bytes += pass.clean_bytes + pass.lazy_bytes;
		more = pass.more && pass.clean_bytes + pass.lazy_bytes != 0;
		spent_ns = os_cpu_ns() - start_ns;
	}
	atomic_fetch_add_explicit(&spent_total_ns, spent_ns, memory_order_relaxed);
	heap_stats_read(&stats);
	if (is_clean(&stats, cushion_bytes, released_bytes))
		return HEAP_UNTIL_USED;
	return pause_for(more ? AGAIN_NS : PAUSE_NS, os_now_ns(), os_cpu_ns() - start_ns);
}

void background_stats(struct heap_stats *stats)
{
	stats->background_cpu_ns = atomic_load_explicit(&spent_total_ns, memory_order_relaxed);
}

void background_after_fork(void)
{
	work.begun = false;
}
