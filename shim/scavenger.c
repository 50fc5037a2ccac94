/* Steps of the scavenger: requests first, then calm. */
#include "shim/scavenger.h"

#include "shim/heap/base/os.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/level.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/settings.h"
#include "shim/share.h"

#include <stdatomic.h>

#define MS_NS ((uint64_t)1000000)
#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)

/* Of a pass; the fewer it has, the more system calls, at the end of which others may run. */
#define QUANTUM_BYTES (64 * MIB)
#define REQUEST_STEP_NS (20 * MS_NS)
/* Of CPU time.  A heap that is freed into all the time never runs dry; no more is spent on it.  The
 * clock would end a release early where others have the CPUs. */
#define REQUEST_TOTAL_NS (5000 * MS_NS)
/* Passes in a row that claim more and give nothing, before they are not believed. */
#define BARREN_PASSES 3U
/*
 * The pace between requests, per level in force.  idle_ms: only pages that idled so
 * long go; slabs_idle_ms: and only caches and slabs not used for so long are
 * emptied.  At full, all thread caches are emptied before each round of passes, which costs
 * their owners, hence the longer pause.  At calm the heap has a pace of its own.
 */
struct pace {
	uint32_t idle_ms;
	uint32_t slabs_idle_ms;
	uint32_t step_ms;  /* work in one step */
	uint32_t again_ms; /* sleep when there is more */
	uint32_t pause_ms; /* sleep when there is not */
	uint32_t cushion_bytes;
	uint32_t cushion_share; /* plus memory in use divided by this; 0: none */
};

static const struct pace paces[HEAP_LEVELS] = {
	[HEAP_LAZY] = {.idle_ms = 500,
		.slabs_idle_ms = 3000,
		.step_ms = 10,
		.again_ms = 20,
		.pause_ms = 500,
		.cushion_bytes = 256 * KIB,
		.cushion_share = 64},
	[HEAP_EAGER] = {.idle_ms = 100,
		.slabs_idle_ms = 1000,
		.step_ms = 20,
		.again_ms = 5,
		.pause_ms = 100},
	[HEAP_FULL] = {.idle_ms = 100, .step_ms = 20, .again_ms = 5, .pause_ms = 500},
};

static struct {
	uint32_t seen; /* the last sequence number read */
	bool active;
	bool linked; /* asked by the supervisor, to be answered */
	struct link_request request;
	struct heap_request passes;
	uint64_t released_bytes;
	uint64_t spent_ns;
	uint32_t barren;
	uint32_t count; /* asked_count when it was begun */
} work;

static _Atomic uint32_t asked_level;
static _Atomic uint64_t asked_bytes;
/* Requests of this process's own. */
static _Atomic uint32_t asked_count;
static _Atomic uint32_t answered_count;

static const enum heap_cause level_cause[HEAP_LEVELS] = {
	[HEAP_CALM] = HEAP_BACKGROUND,
	[HEAP_LAZY] = HEAP_BY_LAZY,
	[HEAP_EAGER] = HEAP_BY_EAGER,
	[HEAP_FULL] = HEAP_BY_FULL,
};

void scavenger_init(uint32_t sequence)
{
	work.seen = sequence;
	work.active = false;
	atomic_store(&asked_level, HEAP_CALM);
	atomic_store(&answered_count, atomic_load(&asked_count));
}

bool scavenger_has_news(void)
{
	return atomic_load_explicit(&asked_level, memory_order_relaxed) != HEAP_CALM ||
	       (link_joined() && link_sequence() != work.seen);
}

void scavenger_ask_for(enum heap_level level, uint64_t target_bytes)
{
	uint32_t asked = atomic_load(&asked_level);
	uint64_t bytes = atomic_load(&asked_bytes);

	atomic_fetch_add(&asked_count, 1);
	while (bytes < target_bytes &&
		!atomic_compare_exchange_weak(&asked_bytes, &bytes, target_bytes))
		;
	while (asked < level && !atomic_compare_exchange_weak(&asked_level, &asked, level))
		;
}

void scavenger_ask(enum heap_level level)
{
	scavenger_ask_for(level, UINT64_MAX);
}

bool scavenger_has_answered(void)
{
	return atomic_load(&answered_count) == atomic_load(&asked_count);
}

static void request_start(const struct link_request *request, bool linked)
{
	work.linked = linked || (work.active && work.linked);
	work.active = true;
	work.request = *request;
	work.passes = (struct heap_request){0};
	work.released_bytes = 0;
	work.spent_ns = 0;
	work.barren = 0;
}

static bool sequence_done_store(uint32_t sequence)
{
	struct link_slot *slot = link_slot_enter();

	if (slot == NULL)
		return false;
	atomic_store(&slot->sequence_done, sequence);
	link_slot_leave();
	return true;
}

/* Tells the supervisor that every request up to work.request.sequence is dealt with. */
static void request_answer(void)
{
	link_slot_publish();
	if (sequence_done_store(work.request.sequence))
		link_notify_supervisor();
}

static void news_read(void)
{
	struct link_request request;
	uint32_t asked = atomic_load(&asked_level);

	if (link_joined() && link_sequence() != work.seen) {
		link_request_read(&request);
		if (request.release_level == LINK_CALM) {
			/* Only the level changed; a request under way goes on and answers for both.
			 */
			work.seen = request.sequence;
			if (work.active)
				work.request.sequence = request.sequence;
			else
				sequence_done_store(request.sequence);
		} else if (!work.active || request.release_level >= work.request.release_level) {
			work.seen = request.sequence;
			request_start(&request, true);
		}
		return;
	}
	if (asked != HEAP_CALM && !work.active) {
		work.count = atomic_load(&asked_count);
		asked = atomic_exchange(&asked_level, HEAP_CALM);
		request = (struct link_request){
			.sequence = work.seen,
			.release_level = (enum link_level)asked,
			.target_bytes = atomic_exchange(&asked_bytes, 0),
		};
		request_start(&request, false);
	}
}

static uint64_t ago_ns(uint64_t now_ns, uint32_t ms)
{
	return now_ns > ms * MS_NS ? now_ns - ms * MS_NS : 0;
}

/* What a pass may still give back of the target, by whole MiB. */
static uint64_t request_bytes(void)
{
	uint64_t left_bytes = work.request.target_bytes - work.released_bytes;

	return left_bytes < QUANTUM_BYTES ? (left_bytes / MIB + 1) * MIB : QUANTUM_BYTES;
}

static bool request_step(uint64_t now_ns)
{
	enum heap_level level = (enum heap_level)work.request.release_level;
	const struct pace *pace = &paces[level];
	uint64_t step_start_ns = now_ns;
	uint64_t cpu_ns = os_cpu_ns();
	bool more = work.released_bytes < work.request.target_bytes;

	while (more && now_ns - step_start_ns < REQUEST_STEP_NS) {
		struct heap_pass pass = {
			.level = level,
			.max_bytes = request_bytes(),
			.cushion_bytes = pace->cushion_bytes,
			.idle_before_ns = UINT64_MAX,
			.slabs_idle_before_ns = ago_ns(now_ns, pace->slabs_idle_ms),
			.request = &work.passes,
		};
		uint64_t gone_bytes;

		heap_scavenge(&pass, level_cause[level]);
		gone_bytes = pass.clean_bytes + (level == HEAP_LAZY ? pass.lazy_bytes : 0);
		work.released_bytes += gone_bytes;
		work.barren = pass.lazy_bytes + pass.clean_bytes == 0 ? work.barren + 1 : 0;
		now_ns = os_now_ns();
		more = pass.more && work.barren < BARREN_PASSES &&
		       work.released_bytes < work.request.target_bytes &&
		       work.spent_ns + os_cpu_ns() - cpu_ns < REQUEST_TOTAL_NS;
	}
	work.spent_ns += os_cpu_ns() - cpu_ns;
	return more;
}

/* One step at the pace of the level in force, above calm. */
static uint64_t pace_step(enum heap_level level, uint64_t now_ns)
{
	static struct heap_request passes; /* until there is no more */
	const struct pace *pace = &paces[level];
	uint64_t cushion_bytes = pace->cushion_bytes;
	uint64_t start_ns = os_cpu_ns();
	struct heap_stats stats;
	bool more = true;

	heap_stats_read(&stats);
	if (pace->cushion_share != 0)
		cushion_bytes += stats.in_use_bytes / pace->cushion_share;
	while (more && os_cpu_ns() - start_ns < pace->step_ms * MS_NS) {
		struct heap_pass pass = {
			.level = level,
			.max_bytes = QUANTUM_BYTES,
			.cushion_bytes = cushion_bytes,
			.idle_before_ns = ago_ns(now_ns, pace->idle_ms),
			.slabs_idle_before_ns = ago_ns(now_ns, pace->slabs_idle_ms),
			.request = &passes,
		};

		heap_scavenge(&pass, level_cause[level]);
		more = pass.more && pass.clean_bytes + pass.lazy_bytes != 0 &&
		       !scavenger_has_news();
	}
	if (!more)
		passes = (struct heap_request){0};
	return more ? pace->again_ms * MS_NS : pace->pause_ms * MS_NS;
}

/* Between requests. */
static uint64_t level_step(uint64_t now_ns)
{
	enum heap_level level = level_in_force(now_ns);
	uint64_t pause_ns;

	settings_apply(now_ns);
	pause_ns = level == HEAP_CALM ? heap_background(now_ns) : pace_step(level, now_ns);
	link_slot_publish();
	share_publish(now_ns);
	return scavenger_has_news() ? SCAVENGER_AT_ONCE : pause_ns;
}

uint64_t scavenger_step(uint64_t now_ns)
{
	news_read();
	if (!work.active)
		return level_step(now_ns);
	if (request_step(now_ns))
		return SCAVENGER_AT_ONCE;
	work.active = false;
	atomic_store(&answered_count, work.count);
	if (work.linked)
		request_answer();
	else if (limit_is_attended())
		limit_notify(); /* its thread tells those who wait for it */
	work.linked = false;
	return SCAVENGER_AT_ONCE;
}
