/* The face of a heap for allocators that the program brings along. */
#include "shim/agent/foreign.h"

#include "shim/agent/allocator.h"
#include "shim/heap/base/freed.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/kernel.h"
#include "shim/symbol.h"
#include "shim/trace.h"
#include "shim/trim.h"
#include "shim/worker.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define MIB ((uint64_t)1024 * 1024)
#define SECOND_NS UINT64_C(1000000000)

/* After a pass at a level's pace, so many times what it took; after one that brought little, ever
 * longer. */
#define PAUSE_FACTOR 20U
#define PAUSE_LONGEST_NS (30 * SECOND_NS)
#define LITTLE_BYTES MIB
/* A hundredth of the time at most goes into figures, besides those after a pass. */
#define FIGURES_FACTOR 100U
#define FIGURES_NS (SECOND_NS / 2)
#define FIGURES_STALL_NS (30 * SECOND_NS)
/* At calm. */
#define LOOK_NS SECOND_NS
#define LOOK_LONGEST_NS (60 * SECOND_NS)
/* Quiet: less than this part of one CPU since the last look. */
#define QUIET_SHARE 10U
#define REST_SHARE 100U
/* What is given back at calm: worth the stall, and not again before so long. */
#define CALM_BYTES (16 * MIB)
#define CALM_PAUSE_NS (10 * SECOND_NS)

static const struct allocator *const known[] = {
	&allocator_jemalloc,
	&allocator_tcmalloc,
	&allocator_mimalloc,
	&allocator_glibc,
};

#define KNOWN (sizeof known / sizeof known[0])

static const struct allocator *found[KNOWN];
static size_t found_count;

/* Written by the thread of the scavenger, and read by others: the one that readers look at is not
 * written to before the next reading is in. */
static struct heap_stats shown[2];
static _Atomic unsigned shown_index;

/* Of the scavenger's thread alone. */
static struct {
	struct heap_stats totals; /* only what counts passes */
	uint64_t figures_due_ns;
	uint64_t pass_due_ns;
	uint64_t pause_ns;
	uint64_t look_ns;
	uint64_t look_at_ns;
	uint64_t look_cpu_ns;
	uint64_t resident_bytes;
	uint64_t calm_due_ns;
	uint32_t cpu_permille;
	enum heap_level level;
	bool off;
} state = {.cpu_permille = HEAP_CPU_PERMILLE};

/* What is resident and no file's, by "SIZE RESIDENT SHARED ..." in pages; 0 where it cannot be
 * read. */
static uint64_t resident_bytes(void)
{
	char text[128];
	uint64_t number[3] = {0};
	const char *at = text;
	int fd = kernel_open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
	long got;

	if (fd < 0)
		return 0;
	got = kernel_read(fd, text, sizeof text - 1);
	kernel_close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (size_t i = 0; i < 3; i++, at += *at == ' ')
		for (; *at >= '0' && *at <= '9'; at++)
			number[i] = number[i] * 10 + (uint64_t)(*at - '0');
	return number[1] > number[2] ? (number[1] - number[2]) * os_page_bytes() : 0;
}

/* Nobody asks before memory grows; that it has grown is seen here, and told as late. */
static void growth_look(void)
{
	uint64_t now_bytes = resident_bytes();
	uint64_t before_bytes = state.resident_bytes;

	state.resident_bytes = now_bytes;
	if (now_bytes > before_bytes)
		worker_growth_note(now_bytes - before_bytes);
}

static uint64_t process_cpu_ns(void)
{
	struct timespec time = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static bool figures_stall(void)
{
	for (size_t i = 0; i < found_count; i++)
		if (found[i]->figures_stall)
			return true;
	return false;
}

/* Those of allocators that do not tell are what is resident beside the others'. */
static void figures_read(uint64_t now_ns)
{
	unsigned next = 1 - atomic_load(&shown_index);
	uint64_t resident = resident_bytes();
	uint64_t least_ns = figures_stall() ? FIGURES_STALL_NS : FIGURES_NS;
	struct heap_stats *stats = &shown[next];
	uint64_t took_ns;
	bool all = found_count > 0;

	*stats = state.totals;
	for (size_t i = 0; i < found_count; i++)
		all &= found[i]->figures(stats, resident);
	if (!all && resident > stats->in_use_bytes + stats->idle_dirty_bytes)
		stats->in_use_bytes = resident - stats->idle_dirty_bytes;
	stats->mapped_bytes = stats->in_use_bytes + stats->idle_dirty_bytes + stats->lazy_bytes +
			      stats->clean_bytes + stats->metadata_bytes;
	if (stats->in_use_bytes > state.totals.peak_in_use_bytes)
		state.totals.peak_in_use_bytes = stats->in_use_bytes;
	stats->peak_in_use_bytes = state.totals.peak_in_use_bytes;
	atomic_store(&shown_index, next);
	took_ns = (os_now_ns() - now_ns) * FIGURES_FACTOR;
	state.figures_due_ns = now_ns + (took_ns > least_ns ? took_ns : least_ns);
}

void heap_stats_read(struct heap_stats *stats)
{
	*stats = shown[atomic_load(&shown_index)];
}

static void released_count(enum heap_cause cause, uint64_t bytes)
{
	uint64_t *const total[HEAP_CAUSES] = {
		[HEAP_BACKGROUND] = &state.totals.released_background_bytes,
		[HEAP_GROWTH] = &state.totals.released_growth_bytes,
		[HEAP_BY_LAZY] = &state.totals.released_lazy_bytes,
		[HEAP_BY_EAGER] = &state.totals.released_eager_bytes,
		[HEAP_BY_FULL] = &state.totals.released_full_bytes,
	};

	*total[cause] += bytes;
	state.totals.advise_calls++;
}

/* Bytes that the process has less resident. */
static uint64_t release(
	enum heap_level level, uint64_t max_bytes, enum heap_cause cause, bool *more)
{
	uint64_t before_bytes = resident_bytes();
	uint64_t start_ns = os_now_ns();
	uint64_t after_bytes;
	uint64_t gone_bytes;

	*more = false;
	for (size_t i = 0; i < found_count; i++)
		*more |= found[i]->release(level, max_bytes);
	after_bytes = resident_bytes();
	gone_bytes = before_bytes > after_bytes ? before_bytes - after_bytes : 0;
	state.totals.advise_ns += os_now_ns() - start_ns;
	released_count(cause, gone_bytes);
	return gone_bytes;
}

/* The level in force. */
static void level_apply(enum heap_level level)
{
	if (level == state.level)
		return;
	state.level = level;
	for (size_t i = 0; i < found_count; i++)
		if (found[i]->level != NULL)
			found[i]->level(level);
}

/* How long a level's pace leaves the allocator alone after a pass. */
static uint64_t pause_after(uint64_t took_ns, uint64_t gone_bytes)
{
	uint64_t pause_ns = took_ns * PAUSE_FACTOR;

	if (gone_bytes < LITTLE_BYTES && pause_ns < 2 * state.pause_ns)
		pause_ns = 2 * state.pause_ns;
	if (pause_ns < SECOND_NS / 10)
		pause_ns = SECOND_NS / 10;
	return pause_ns < PAUSE_LONGEST_NS ? pause_ns : PAUSE_LONGEST_NS;
}

/* A request asks for pages of any age, the pace of a level for those that idled. */
void heap_scavenge(struct heap_pass *pass, enum heap_cause cause)
{
	bool is_request = pass->idle_before_ns == UINT64_MAX;
	uint64_t start_ns = os_now_ns();
	uint64_t now_ns;

	pass->lazy_bytes = 0;
	pass->clean_bytes = 0;
	pass->more = false;
	if (!is_request) {
		level_apply(pass->level);
		growth_look();
	}
	if (found_count == 0 || (!is_request && start_ns < state.pass_due_ns)) {
		if (start_ns >= state.figures_due_ns)
			figures_read(start_ns);
		return;
	}
	pass->clean_bytes = release(pass->level, pass->max_bytes, cause, &pass->more);
	now_ns = os_now_ns();
	state.pause_ns = pause_after(now_ns - start_ns, pass->clean_bytes);
	state.pass_due_ns = now_ns + state.pause_ns;
	/* The supervisor is to see what a request has changed. */
	if (!pass->more && (now_ns >= state.figures_due_ns || pass->clean_bytes >= LITTLE_BYTES ||
				   (is_request && (!figures_stall() || pass->level >= HEAP_EAGER))))
		figures_read(now_ns);
}

void heap_tune(const struct heap_tuning *now)
{
	state.off = now->policy == HEAP_OFF;
	state.cpu_permille = now->cpu_permille;
}

/* Gives back what idles in a process that does little else, within the budget. */
static void calm_release(uint64_t now_ns)
{
	struct heap_stats stats;
	uint64_t cpu_ns = os_cpu_ns();
	uint64_t pause_ns = CALM_PAUSE_NS;
	bool more;

	heap_stats_read(&stats);
	if (state.off || now_ns < state.calm_due_ns)
		return;
	if (figures_stall() && (stats.idle_dirty_bytes < CALM_BYTES ||
				       stats.idle_dirty_bytes < stats.in_use_bytes / 8))
		return;
	if (stats.idle_dirty_bytes + stats.lazy_bytes != 0) {
		(void)release(HEAP_CALM, UINT64_MAX, HEAP_BACKGROUND, &more);
		if (!figures_stall())
			pause_ns = LOOK_NS;
	}
	cpu_ns = os_cpu_ns() - cpu_ns;
	state.totals.background_cpu_ns += cpu_ns;
	if (pause_ns < cpu_ns * 1000 / state.cpu_permille)
		pause_ns = cpu_ns * 1000 / state.cpu_permille;
	state.calm_due_ns = now_ns + pause_ns;
}

uint64_t heap_background(uint64_t now_ns)
{
	uint64_t cpu_ns = process_cpu_ns();
	uint64_t past_ns = now_ns - state.look_at_ns;
	uint64_t used_ns = cpu_ns - state.look_cpu_ns;
	bool quiet = used_ns < past_ns / QUIET_SHARE;
	bool rests = used_ns < past_ns / REST_SHARE;
	struct heap_stats stats;

	level_apply(HEAP_CALM);
	growth_look();
	if (past_ns < LOOK_NS / 2 && state.look_at_ns != 0)
		return LOOK_NS - past_ns;
	if (now_ns >= state.figures_due_ns && (quiet || !figures_stall()))
		figures_read(now_ns);
	if (quiet || !figures_stall())
		calm_release(now_ns);
	heap_stats_read(&stats);
	/* What is on its way out by a curve of time goes on doing so. */
	rests &= stats.idle_dirty_bytes + stats.lazy_bytes < MIB || state.off;
	state.look_ns = rests ? 2 * state.look_ns : LOOK_NS;
	if (state.look_ns < LOOK_NS)
		state.look_ns = LOOK_NS;
	if (state.look_ns > LOOK_LONGEST_NS)
		state.look_ns = LOOK_LONGEST_NS;
	state.look_at_ns = now_ns;
	state.look_cpu_ns = process_cpu_ns();
	return state.look_ns;
}

enum link_allocator foreign_init(char **environment)
{
	uintptr_t malloc_base = 0;

	(void)symbol_first("malloc", &malloc_base);
	for (size_t i = 0; i < KNOWN; i++) {
		if (!known[i]->find(malloc_base))
			continue;
		found[found_count++] = known[i];
		if (known[i]->begin != NULL)
			known[i]->begin(environment);
	}
	return found_count > 0 ? (enum link_allocator)found[0]->number : LINK_ALLOCATOR_UNKNOWN;
}

void foreign_fork_child(void)
{
	state.totals = (struct heap_stats){0};
	state.figures_due_ns = 0;
	state.pass_due_ns = 0;
	state.pause_ns = 0;
	state.resident_bytes = 0;
	state.look_at_ns = 0;
	state.look_cpu_ns = 0;
	state.look_ns = 0;
	state.calm_due_ns = 0;
}

/* The heap's locks and use, which nobody is told of here, and the record of its calls. */

bool heap_is_inside(void)
{
	return false;
}

void page_heap_stats(struct page_stats *stats)
{
	*stats = (struct page_stats){0};
}

void freed_set_hook(uint64_t bytes, void (*hook)(void))
{
	(void)bytes;
	(void)hook;
}

/* Another allocator's growth asks no gate. */
bool trim_inherited(void)
{
	return false;
}

void trace_fork_child(void)
{
}

void trace_before_filter(void)
{
}
