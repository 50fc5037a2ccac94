#include "shim/scavenger.h"

#include "shim/heap/os.h"
#include "shim/link.h"

#include <stdatomic.h>
#include <time.h>

#define MS_NS ((uint64_t)1000000)
#define KIB 1024U
#define MIB (1024U * KIB)

#define REQUEST_QUANTUM_BYTES ((uint64_t)MIB)
#define REQUEST_STEP_NS (20 * MS_NS)
/* A heap that is freed into all the time never runs dry; nobody waits longer for it. */
#define REQUEST_TOTAL_NS (5000 * MS_NS)
/* Passes in a row that claim more and give nothing, before they are not believed. */
#define BARREN_PASSES 3U
/* Steps at calm that give nothing, seconds beyond the age at which things go, before what is idle
 * counts as out of reach; a larger change of it begins anew. */
#define CALM_STEPS_BARREN 6U
#define CALM_CHANGE_BYTES ((uint64_t)64 * KIB)
/*
 * At calm no ten seconds see more than 100 ms of work, 1 % of one CPU: some of
 * that may be saved up while there is nothing to do, half flows in as time goes
 * by, and the rest is for a pass that overruns.
 */
#define CALM_SAVED_NS ((int64_t)(40 * MS_NS))
#define CALM_FLOW_SHARE 200U

/*
 * The pace between requests, per level in force.  idle_ms: only pages that idled so
 * long go; slabs_idle_ms: and only caches and slabs not used for so long are
 * emptied.  At full, thread caches are drained with every pass, which costs
 * their owners, hence the longer pause.  Calm works as eager does, slowly.
 */
struct pace {
	enum heap_level level;
	enum heap_cause cause;
	uint32_t quantum_bytes;
	uint32_t idle_ms;
	uint32_t slabs_idle_ms;
	uint32_t step_ms;  /* work in one step */
	uint32_t again_ms; /* sleep when there is more */
	uint32_t pause_ms; /* sleep when there is not */
	uint32_t cushion_bytes;
	uint32_t cushion_share; /* plus memory in use divided by this; 0: none */
};

static const struct pace paces[HEAP_LEVELS] = {
	[HEAP_CALM] = {.level = HEAP_EAGER,
		.cause = HEAP_BACKGROUND,
		.quantum_bytes = 256 * KIB,
		.idle_ms = 3000,
		.slabs_idle_ms = 3000,
		.step_ms = 1,
		.again_ms = 5,
		.pause_ms = 1000,
		.cushion_bytes = 1 * MIB,
		.cushion_share = 16},
	[HEAP_LAZY] = {.level = HEAP_LAZY,
		.cause = HEAP_BY_LAZY,
		.quantum_bytes = 1 * MIB,
		.idle_ms = 500,
		.slabs_idle_ms = 3000,
		.step_ms = 10,
		.again_ms = 20,
		.pause_ms = 500,
		.cushion_bytes = 256 * KIB,
		.cushion_share = 64},
	[HEAP_EAGER] = {.level = HEAP_EAGER,
		.cause = HEAP_BY_EAGER,
		.quantum_bytes = 1 * MIB,
		.idle_ms = 100,
		.slabs_idle_ms = 1000,
		.step_ms = 20,
		.again_ms = 5,
		.pause_ms = 100},
	[HEAP_FULL] = {.level = HEAP_FULL,
		.cause = HEAP_BY_FULL,
		.quantum_bytes = 1 * MIB,
		.idle_ms = 100,
		.step_ms = 20,
		.again_ms = 5,
		.pause_ms = 500},
};

static struct {
	uint32_t seen; /* the last sequence number read */
	bool active;
	bool linked; /* asked by the supervisor, to be answered */
	struct link_request request;
	uint64_t released_bytes;
	uint64_t started_ns;
	uint32_t barren;
	uint64_t calm_idle_bytes; /* what steps at calm left */
	uint32_t calm_steps;      /* so many of them gave nothing */
	int64_t calm_saved_ns;    /* working time that may be spent at calm; below 0: a debt */
	uint64_t calm_saved_at_ns;
} work = {.calm_saved_ns = CALM_SAVED_NS};

static _Atomic uint32_t asked_level;

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
}

bool scavenger_has_news(void)
{
	return atomic_load_explicit(&asked_level, memory_order_relaxed) != HEAP_CALM ||
	       (link_joined() && link_sequence() != work.seen);
}

void scavenger_ask(enum heap_level level)
{
	uint32_t asked = atomic_load(&asked_level);

	while (asked < level && !atomic_compare_exchange_weak(&asked_level, &asked, level))
		;
}

static void request_start(const struct link_request *request, bool linked, uint64_t now_ns)
{
	work.linked = linked || (work.active && work.linked);
	work.active = true;
	work.request = *request;
	work.released_bytes = 0;
	work.started_ns = now_ns;
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
		link_doorbell_ring();
}

static void news_read(uint64_t now_ns)
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
			request_start(&request, true, now_ns);
		}
		return;
	}
	if (asked != HEAP_CALM && !work.active && atomic_exchange(&asked_level, HEAP_CALM) != 0) {
		request = (struct link_request){
			.sequence = work.seen,
			.release_level = (enum link_level)asked,
			.target_bytes = UINT64_MAX,
		};
		request_start(&request, false, now_ns);
	}
}

static uint64_t ago_ns(uint64_t now_ns, uint32_t ms)
{
	return now_ns > ms * MS_NS ? now_ns - ms * MS_NS : 0;
}

static bool request_step(uint64_t now_ns)
{
	enum heap_level level = (enum heap_level)work.request.release_level;
	const struct pace *pace = &paces[level];
	uint64_t step_start_ns = now_ns;
	bool more = true;

	while (more && now_ns - step_start_ns < REQUEST_STEP_NS) {
		struct heap_pass pass = {
			.level = level,
			.max_bytes = REQUEST_QUANTUM_BYTES,
			.cushion_bytes = pace->cushion_bytes,
			.idle_before_ns = UINT64_MAX,
			.slabs_idle_before_ns = ago_ns(now_ns, pace->slabs_idle_ms),
		};
		uint64_t gone_bytes;

		heap_scavenge(&pass, level_cause[level]);
		gone_bytes = pass.clean_bytes + (level == HEAP_LAZY ? pass.lazy_bytes : 0);
		work.released_bytes += gone_bytes;
		work.barren = pass.lazy_bytes + pass.clean_bytes == 0 ? work.barren + 1 : 0;
		now_ns = os_now_ns();
		more = pass.more && work.barren < BARREN_PASSES &&
		       work.released_bytes < work.request.target_bytes &&
		       now_ns - work.started_ns < REQUEST_TOTAL_NS;
	}
	return more;
}

/* Whether calm has nothing left to do: only the cushion is idle, or what stays in spite of some
 * steps, while the heap was hardly used. */
static bool calm_is_clean(
	const struct heap_stats *stats, uint64_t cushion_bytes, uint64_t released_bytes)
{
	uint64_t idle_bytes = stats->idle_dirty_bytes + stats->lazy_bytes + stats->free_slot_bytes;
	uint64_t before_bytes = work.calm_idle_bytes;
	uint64_t change_bytes =
		idle_bytes > before_bytes ? idle_bytes - before_bytes : before_bytes - idle_bytes;

	work.calm_steps++;
	if (released_bytes != 0 || change_bytes > CALM_CHANGE_BYTES) {
		work.calm_steps = 0;
		work.calm_idle_bytes = idle_bytes;
	}
	return idle_bytes <= cushion_bytes || work.calm_steps >= CALM_STEPS_BARREN;
}

/* What this thread spent: on a busy machine its time goes by without it. */
static uint64_t cpu_ns(void)
{
	struct timespec spent;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) != 0)
		return 0;
	return (uint64_t)spent.tv_sec * 1000 * MS_NS + (uint64_t)spent.tv_nsec;
}

/*
 * How long calm sleeps after it worked for spent_ns: until the next step is saved up
 * for.  A step may overrun by what one pass takes, which is a debt then.
 */
static uint64_t calm_pause(uint64_t pause_ns, uint64_t now_ns, uint64_t spent_ns, uint32_t step_ms)
{
	int64_t missing_ns;

	work.calm_saved_ns += (int64_t)((now_ns - work.calm_saved_at_ns) / CALM_FLOW_SHARE);
	work.calm_saved_at_ns = now_ns;
	if (work.calm_saved_ns > CALM_SAVED_NS)
		work.calm_saved_ns = CALM_SAVED_NS;
	work.calm_saved_ns -= (int64_t)spent_ns;
	missing_ns = (int64_t)(step_ms * MS_NS) - work.calm_saved_ns;
	if (missing_ns > 0 && pause_ns < (uint64_t)missing_ns * CALM_FLOW_SHARE)
		pause_ns = (uint64_t)missing_ns * CALM_FLOW_SHARE;
	return pause_ns;
}

/* One step at the pace of the level in force. */
static uint64_t pace_step(uint64_t now_ns)
{
	enum heap_level level = (enum heap_level)link_level(now_ns);
	const struct pace *pace = &paces[level];
	uint64_t cushion_bytes = pace->cushion_bytes;
	uint64_t start_ns = cpu_ns();
	uint64_t spent_ns = 0;
	uint64_t released_bytes = 0;
	uint64_t pause_ns;
	struct heap_stats stats;
	bool more = true;

	heap_stats_read(&stats);
	if (pace->cushion_share != 0)
		cushion_bytes += stats.in_use_bytes / pace->cushion_share;
	while (more && spent_ns < pace->step_ms * MS_NS) {
		struct heap_pass pass = {
			.level = pace->level,
			.max_bytes = pace->quantum_bytes,
			.cushion_bytes = cushion_bytes,
			.idle_before_ns = ago_ns(now_ns, pace->idle_ms),
			.slabs_idle_before_ns = ago_ns(now_ns, pace->slabs_idle_ms),
		};

		heap_scavenge(&pass, pace->cause);
		released_bytes += pass.clean_bytes + pass.lazy_bytes;
		more = pass.more && pass.clean_bytes + pass.lazy_bytes != 0 &&
		       !scavenger_has_news();
		spent_ns = cpu_ns() - start_ns;
	}
	link_slot_publish();
	if (scavenger_has_news())
		return SCAVENGER_AT_ONCE;
	heap_stats_read(&stats);
	if (level == HEAP_CALM && calm_is_clean(&stats, cushion_bytes, released_bytes))
		return SCAVENGER_UNTIL_NEWS;
	pause_ns = more ? pace->again_ms * MS_NS : pace->pause_ms * MS_NS;
	if (level == HEAP_CALM)
		pause_ns = calm_pause(pause_ns, os_now_ns(), cpu_ns() - start_ns, pace->step_ms);
	return pause_ns;
}

uint64_t scavenger_step(uint64_t now_ns)
{
	news_read(now_ns);
	if (!work.active)
		return pace_step(now_ns);
	if (request_step(now_ns))
		return SCAVENGER_AT_ONCE;
	work.active = false;
	if (work.linked)
		request_answer();
	work.linked = false;
	return SCAVENGER_AT_ONCE;
}
