#include "tests/bench/simulate/replay.h"

#include "shim/heap/base/page.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "tests/bench/simulate/cost.h"
#include "tests/bench/simulate/sim_os.h"

#define SECOND_NS ((uint64_t)1000000000)
#define SAMPLES 2000.0
#define LOOK_NS ((uint64_t)5000000)

static struct {
	uint64_t price_ns;
	uint64_t due_ns; /* UINT64_MAX: a second after the heap is used again */
	double dirty_page_s;
	double lazy_page_s;
	double free_slot_byte_s;
	uint64_t free_slot_bytes; /* as last looked at */
	uint64_t looked_ns;
	double resident_page_s;
	double in_use_page_s;
	uint64_t steps;
	FILE *samples;
	uint64_t sample_every_ns;
	uint64_t sample_due_ns;
} run;

static void sample(const struct page_stats *pages)
{
	if (run.samples == NULL || sim_os.now_ns < run.sample_due_ns)
		return;
	run.sample_due_ns = sim_os.now_ns + run.sample_every_ns;
	fprintf(run.samples, "%.3f %.2f %.2f\n", (double)replay_now_ns() / 1e9,
		(double)(pages->in_use * PAGE_BYTES) / 1048576,
		(double)((pages->in_use + pages->dirty + pages->lazy) * PAGE_BYTES) / 1048576);
}

/* Counting them takes longer than a malloc, so they are looked at every few milliseconds. */
static void free_slots_look(void)
{
	struct heap_stats stats;

	if (run.looked_ns != 0 && sim_os.now_ns - run.looked_ns < LOOK_NS)
		return;
	heap_stats_read(&stats);
	run.free_slot_bytes = stats.free_slot_bytes;
	run.looked_ns = sim_os.now_ns;
}

/* The clock moves on; things are as they are meanwhile. */
static void wait_until(uint64_t then_ns)
{
	struct page_stats pages;
	double seconds;

	if (then_ns <= sim_os.now_ns)
		return;
	seconds = (double)(then_ns - sim_os.now_ns) / 1e9;
	page_heap_stats(&pages);
	free_slots_look();
	sample(&pages);
	run.dirty_page_s += (double)pages.dirty * seconds;
	run.lazy_page_s += (double)pages.lazy * seconds;
	run.free_slot_byte_s += (double)run.free_slot_bytes * seconds;
	run.in_use_page_s += (double)pages.in_use * seconds;
	run.resident_page_s += (double)(pages.in_use + pages.dirty + pages.lazy) * seconds;
	sim_os.now_ns = then_ns;
}

static void step(void)
{
	uint64_t begin_ns = sim_os.now_ns;
	uint64_t pause_ns;

	pause_ns = heap_background(begin_ns);
	run.steps++;
	/* The background has a processor of its own: its work does not hold up the program. */
	sim_os.now_ns = begin_ns;
	run.due_ns = pause_ns == HEAP_UNTIL_USED ? UINT64_MAX : begin_ns + pause_ns;
}

static void used(void)
{
	if (run.due_ns == UINT64_MAX)
		run.due_ns = sim_os.now_ns + SECOND_NS;
}

void replay_begin(const struct heap_tuning *tuning, FILE *samples, double seconds)
{
	run.price_ns = tuning->price_ns;
	run.due_ns = sim_os.now_ns + SECOND_NS;
	run.samples = samples;
	run.sample_every_ns = (uint64_t)(seconds / SAMPLES * 1e9);
	heap_tune(tuning);
}

void *replay_malloc(size_t bytes)
{
	used();
	return heap_malloc(bytes);
}

void *replay_memalign(size_t alignment, size_t bytes)
{
	used();
	return heap_memalign(alignment, bytes);
}

void *replay_realloc(void *block, size_t bytes)
{
	used();
	return heap_realloc(block, bytes);
}

void replay_free(void *block)
{
	used();
	heap_free(block);
}

void replay_pass(uint64_t ns)
{
	uint64_t then_ns = sim_os.now_ns + ns;

	while (run.due_ns <= then_ns) {
		wait_until(run.due_ns);
		step();
	}
	wait_until(then_ns);
}

uint64_t replay_now_ns(void)
{
	return sim_os.now_ns - SIM_OS_START_NS;
}

void replay_end(struct replay_costs *costs)
{
	struct heap_stats stats;
	uint64_t lazy_pages;

	heap_stats_read(&stats);
	lazy_pages = stats.lazy_bytes / PAGE_BYTES;
	*costs = (struct replay_costs){
		.advise_ns = sim_os.cpu_ns + run.steps * COST_STEP_NS,
		.refault_pages = stats.refault_bytes / PAGE_BYTES,
		.lazy_reuse_ns = (sim_os.free_pages - sim_os.gone_lazy_pages - lazy_pages) *
				 COST_LAZY_REUSE_NS,
		.keep_ns = (uint64_t)((run.dirty_page_s + run.free_slot_byte_s / PAGE_BYTES +
					      run.lazy_page_s * COST_LAZY_SHARE_PERMILLE / 1000) *
				      (double)run.price_ns),
		.seconds = (double)replay_now_ns() / 1e9,
		.resident_byte_s = run.resident_page_s * PAGE_BYTES,
		.in_use_byte_s = run.in_use_page_s * PAGE_BYTES,
		.steps = run.steps,
	};
	costs->refault_ns = costs->refault_pages * COST_REFAULT_NS;
}
