/* One look at the limit: the cgroup's files and the heap's figures, policy, and what it says. */
#include "shim/look.h"

#include "shim/family.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/kernel.h"
#include "shim/limit.h"
#include "shim/scavenger.h"
#include "shim/share.h"
#include "shim/walls.h"
#include "shim/worker.h"

#include "config/defaults.h"
#include "supervisor/policy/credit.h"
#include "supervisor/policy/fraction.h"
#include "supervisor/policy/policy.h"
#include "supervisor/policy/price.h"
#include "supervisor/policy/wall.h"

#include <linux/sysinfo.h>
#include <string.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
#define MIB LOOK_MIB

/* How far the heap grows before the next look, where nothing else calls for one. */
#define MARK_SHARE 64U
#define MARK_MIN_BYTES MIB
#define MARK_MAX_BYTES (64 * MIB)

/* What is worth giving: both. */
#define GIVE_MIN_BYTES (2 * MIB)
#define GIVE_SHARE 256U
/* Free slots that every heap has: this part of what is in use. */
#define SLACK_SHARE 8U
/* A limit of our own is this part of what is in use beyond it, at the least. */
#define ROOM_SHARE 8U

#define LINGER_MS 1000U
#define GIVER_MIN_MS 250U
#define GIVER_MAX_MS 400U
#define QUIET_MAX_MS 200U
/* Far from the machine's wall. */
#define GIVER_FAR_MS 10000U
#define GATE_WAIT_MS 1000U
#define GATE_WAIT_AGAIN_MS 200U
#define GATE_WAIT_SELF_MS 50U
#define GATE_PATIENCE_MS 5000U
#define FAMILY_AGAIN_MS 50U

/* What policy works on: mapped while the thread is there.  This process is one service, and what
 * its family (family.h) waits for is another, which is served by the same rules. */
struct policy_memory {
	struct policy_state state;
	struct config_policy policy;
	struct policy_service service;
	struct policy_service family;
	struct policy_service *list[2];
	struct sample sample;
	struct plan plan;
	struct action action[PLAN_ACTIONS(2)];
	struct walls walls;
};

/* The looking thread's alone. */
static struct {
	struct policy_memory *memory;
	size_t memory_bytes;
	uint64_t planned_credit_bytes; /* the last plan's */
	uint64_t given_credit_bytes;   /* what of that was put into force */
	uint64_t seen_credit_bytes;    /* what was left of it at this look */
	uint64_t idle_bytes;
	uint64_t wall;         /* walls.id */
	uint64_t told_bytes;   /* what the family was last woken for */
	uint64_t told_ms;      /* when */
	bool gives_for_family; /* a release is under way while others wait */
	uint64_t calm_ms;      /* since when there is nothing to do */
	uint32_t quiet_ms;     /* the last pause while nothing moves */
	uint64_t timeouts;
	uint64_t timeout_ms; /* when a wait last brought nothing */
	bool timed_out;
	uint32_t random;
} look;

/* The tightest limit that was found last; 0: none. */
static _Atomic uint64_t limit_bytes;

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t more_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Chance: a quarter more or less. */
static uint32_t jitter(uint32_t ms)
{
	look.random ^= look.random << 13;
	look.random ^= look.random >> 17;
	look.random ^= look.random << 5;
	return ms - ms / 4 + (uint32_t)((uint64_t)ms * (look.random & 1023U) / 2048U);
}

/* What could be given back. */
static uint64_t idle_of(const struct heap_stats *stats)
{
	return stats->idle_dirty_bytes +
	       fraction_less(stats->free_slot_bytes, stats->in_use_bytes / SLACK_SHARE);
}

static uint64_t worth_giving(uint64_t limit)
{
	return more_of(GIVE_MIN_BYTES, limit / GIVE_SHARE);
}

static uint64_t machine_bytes(void)
{
	struct sysinfo info = {0};

	if (kernel_call(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return SAMPLE_NO_LIMIT;
	return (uint64_t)info.totalram * info.mem_unit;
}

/* The limit of this heap alone; it gives way to what is in use. */
static uint64_t own_limit_bytes(const struct heap_stats *stats, uint64_t shared_bytes)
{
	const struct limit_setting *setting = limit_setting();
	uint64_t busy_bytes =
		stats->metadata_bytes + fraction_less(stats->in_use_bytes, stats->free_slot_bytes);
	uint64_t bytes = setting->bytes;

	if (setting->kind == LIMIT_SHARE)
		bytes = fraction_part_of(
			shared_bytes != SAMPLE_NO_LIMIT ? shared_bytes : machine_bytes(),
			setting->permille);
	else if (setting->kind != LIMIT_SIZE)
		return SAMPLE_NO_LIMIT;
	return more_of(bytes, fraction_plus(busy_bytes, busy_bytes / ROOM_SHARE));
}

static uint64_t credit_left(void)
{
	look.seen_credit_bytes = atomic_load(&limit_gate()->credit_bytes);
	if (look.planned_credit_bytes == UINT64_MAX || look.seen_credit_bytes == UINT64_MAX)
		return look.planned_credit_bytes;
	return fraction_less(look.planned_credit_bytes,
		fraction_less(look.given_credit_bytes, look.seen_credit_bytes));
}

static void heap_read(struct service_sample *service, const struct heap_stats *stats)
{
	uint64_t released_bytes = 0;
#define ADD(name, kind, attribute) released_bytes += stats->name;
	FIGURES_RELEASED(ADD)
#undef ADD

	service->running = true;
	service->own = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT,
		.current_bytes = stats->mapped_bytes - stats->clean_bytes};
	service->heap = (struct heap_sample){
		.processes = 1,
		.in_use_bytes = stats->in_use_bytes,
		.free_slot_bytes = stats->free_slot_bytes,
		.idle_dirty_bytes = stats->idle_dirty_bytes,
		.lazy_bytes = stats->lazy_bytes,
		.released_bytes = released_bytes,
		.gone_bytes = stats->released_growth_bytes + stats->released_eager_bytes +
			      stats->released_full_bytes,
		.wants_bytes = atomic_load(&limit_slot()->wants_bytes),
		.credit_left_bytes = credit_left(),
		.populated_bytes = atomic_load(&limit_slot()->populated_bytes),
		.answered = scavenger_has_answered(),
	};
}

/* How long to wait at the gate depends on who could make room. */
static uint32_t gate_wait_ms(const struct sample *sample, uint64_t now_ms)
{
	uint64_t timeouts = atomic_load(&limit_slot()->gate_timeouts);

	if (timeouts != look.timeouts) {
		look.timeouts = timeouts;
		look.timeout_ms = now_ms;
		look.timed_out = true;
	}
	if (sample->shared.limit_bytes == SAMPLE_NO_LIMIT || look.memory->walls.crowd == 1)
		return GATE_WAIT_SELF_MS;
	return look.timed_out && now_ms - look.timeout_ms < GATE_PATIENCE_MS ? GATE_WAIT_AGAIN_MS
									     : GATE_WAIT_MS;
}

/* What waits is served as the plan has it; the rest is for all that share the wall. */
static void credit_publish(const struct service_plan *plan, uint64_t wants_bytes)
{
	uint64_t credit_bytes = plan->credit_bytes;

	look.planned_credit_bytes = credit_bytes;
	if (credit_bytes != UINT64_MAX)
		credit_bytes = more_of(less_of(credit_bytes, wants_bytes),
			credit_bytes / look.memory->walls.crowd);
	look.given_credit_bytes = credit_bytes;
	limit_credit_set(credit_bytes, look.seen_credit_bytes);
}

static void plan_perform(const struct plan *plan)
{
	bool news = false;

	for (size_t i = 0; i < plan->count; i++) {
		const struct action *action = &plan->action[i];

		if (action->service != 0)
			continue;
		if (action->kind == ACTION_LEVEL)
			limit_level_set((enum heap_level)action->level);
		else if (action->kind == ACTION_RELEASE)
			scavenger_ask_for((enum heap_level)action->level, action->target_bytes);
		news |= action->kind == ACTION_LEVEL || action->kind == ACTION_RELEASE;
	}
	if (news)
		worker_wake();
}

void look_mark_set(uint64_t distance_bytes)
{
	atomic_store(&limit_mark, worker_grown_bytes() + distance_bytes);
}

/* The further away the limit, the rarer are the looks of one who has something to give. */
static uint32_t giver_ms(const struct sample *sample)
{
	const struct wall_sample *wall = &sample->shared;
	uint64_t lazy_bytes = wall->limit_bytes / 4;

	if (wall->limit_bytes == SAMPLE_NO_LIMIT || lazy_bytes == 0)
		return GIVER_MAX_MS;
	if (walls_are_far(&look.memory->walls, &look.memory->sample))
		return (uint32_t)less_of(GIVER_FAR_MS,
			GIVER_MAX_MS + (wall_headroom_bytes(wall, 0) - wall->limit_bytes / 2) /
					       CREDIT_FASTEST_BYTES_PER_MS);
	return (uint32_t)less_of(GIVER_MAX_MS,
		fraction_share(GIVER_MIN_MS, wall_headroom_bytes(wall, 0), lazy_bytes));
}

/* The pause until the next look; 0: none is needed. */
static uint32_t pause_ms(uint64_t limit, uint64_t now_ms)
{
	const struct plan *plan = &look.memory->plan;
	const struct heap_sample *heap = &look.memory->service.sample.heap;
	bool gives = look.idle_bytes >= worth_giving(limit);
	uint32_t quiet_ms;
	bool waits = heap->wants_bytes > 0 || look.memory->family.sample.heap.wants_bytes > 0 ||
		     !scavenger_has_answered();

	if (limit_level() == HEAP_CALM && !waits) {
		if (gives) {
			look.calm_ms = now_ms;
			return jitter(giver_ms(&look.memory->sample));
		}
		if (now_ms - look.calm_ms >= LINGER_MS ||
			walls_are_far(&look.memory->walls, &look.memory->sample))
			return 0;
		return (uint32_t)(look.calm_ms + LINGER_MS - now_ms);
	}
	look.calm_ms = now_ms;
	if (waits || gives)
		look.quiet_ms = 0;
	else
		look.quiet_ms = look.quiet_ms == 0 ? plan->next_ms
						   : (uint32_t)less_of(2 * (uint64_t)look.quiet_ms,
							     QUIET_MAX_MS);
	quiet_ms = (uint32_t)more_of(more_of(plan->next_ms, look.quiet_ms), 4);
	if (gives)
		quiet_ms = (uint32_t)less_of(quiet_ms, giver_ms(&look.memory->sample));
	return jitter(quiet_ms);
}

/* Ready for policy_step. */
static void policy_prepare(struct policy_memory *memory, uint32_t wait_ms)
{
	memory->policy = default_policy;
	memory->policy.gate_wait_ms = wait_ms;
	memory->service.policy = &memory->policy;
	memory->family.policy = &memory->policy;
	memory->list[0] = &memory->service;
	memory->list[1] = &memory->family;
	memory->state.service = memory->list;
	memory->state.service_count = 2;
	memory->plan.action = memory->action;
	memory->plan.room = PLAN_ACTIONS(2);
}

/* What the family waits for, as a service of which nothing else is known. */
static void family_read(struct service_sample *family, uint64_t now_ns)
{
	uint64_t wants_bytes = family_needs(look.wall, now_ns);

	*family = (struct service_sample){
		.running = wants_bytes > 0,
		.own = {.limit_bytes = SAMPLE_NO_LIMIT},
		.heap =
			{
				.processes = 1,
				.in_use_bytes = look.memory->sample.shared.current_bytes,
				.wants_bytes = wants_bytes,
				.credit_left_bytes = UINT64_MAX,
				.answered = true,
			},
	};
}

/* Says what this process still waits for, and wakes those who could give it: for a need that is
 * new, and again when it stands for FAMILY_AGAIN_MS.  When memory came back for others it wakes
 * them. */
static void family_tell(uint64_t wants_bytes, uint64_t credit_bytes, uint64_t now_ns)
{
	uint64_t now_ms = now_ns / MS_NS;
	uint64_t need_bytes = fraction_less(wants_bytes, credit_bytes);
	bool gave = look.gives_for_family && scavenger_has_answered();
	bool calls = need_bytes > look.told_bytes ||
		     (need_bytes > 0 && now_ms - look.told_ms >= FAMILY_AGAIN_MS);

	family_need_set(look.wall, need_bytes, now_ns);
	if (calls)
		look.told_ms = now_ms;
	look.told_bytes = need_bytes;
	if (calls || gave)
		family_wake(look.wall);
	look.gives_for_family = look.memory->family.sample.running && !scavenger_has_answered();
}

static void policy_run(const struct heap_stats *stats, uint64_t own_bytes, uint64_t now_ns)
{
	uint64_t now_ms = now_ns / MS_NS;
	struct policy_memory *memory = look.memory;
	struct sample *sample = &memory->sample;
	struct policy_service *service = &memory->service;
	uint32_t wait_ms = gate_wait_ms(sample, now_ms);

	heap_read(&service->sample, stats);
	service->sample.own.limit_bytes = own_bytes;
	sample->unseen_ms = look.memory->walls.crowd > 1 ? GATE_WAIT_MS : 0;
	family_read(&memory->family.sample, now_ns);
	policy_prepare(memory, wait_ms);
	policy_step(&memory->state, sample, now_ms, &memory->plan);
	limit_gate_wait_set(service->plan.gate_wait_ms);
	credit_publish(&service->plan, service->sample.heap.wants_bytes);
	limit_price_set(fraction_permille(
		service->plan.price_ns, price_base_ns(memory->policy.core_worth_bytes)));
	plan_perform(&memory->plan);
	family_tell(service->sample.heap.wants_bytes, service->plan.credit_bytes, now_ns);
}

uint32_t look_step(uint64_t now_ns)
{
	struct sample *sample = &look.memory->sample;
	uint64_t now_ms = now_ns / MS_NS;
	struct heap_stats stats;
	uint64_t own_bytes;
	uint64_t limit;

	heap_stats_read(&stats);
	walls_read(&look.memory->walls, &stats, sample, now_ms);
	look.wall = look.memory->walls.id;
	own_bytes = own_limit_bytes(&stats, look.memory->walls.limit_bytes);
	limit = less_of(sample->shared.limit_bytes, own_bytes);
	atomic_store(&limit_bytes, limit != SAMPLE_NO_LIMIT ? limit : 0);
	share_publish_walls(
		limit, sample->shared.current_bytes, sample->shared.cache_bytes, now_ns);
	if (limit == SAMPLE_NO_LIMIT) {
		look_mark_set(LOOK_NO_LIMIT_BYTES);
		return 0;
	}
	policy_run(&stats, own_bytes, now_ns);
	look.idle_bytes = idle_of(&stats);
	look_mark_set(less_of(more_of(limit / MARK_SHARE, MARK_MIN_BYTES), MARK_MAX_BYTES));
	return pause_ms(limit, now_ms);
}

bool look_begin(void)
{
	uint64_t now_ns = os_now_ns();
	size_t page_bytes = os_page_bytes();

	memset(&look, 0, sizeof look);
	look.memory_bytes = (sizeof *look.memory + page_bytes - 1) / page_bytes * page_bytes;
	look.memory = os_map(look.memory_bytes, page_bytes);
	if (look.memory == NULL)
		return false;
	walls_open(&look.memory->walls);
	look.planned_credit_bytes = UINT64_MAX;
	look.timeouts = atomic_load(&limit_slot()->gate_timeouts);
	look.calm_ms = now_ns / MS_NS;
	look.random = (uint32_t)(now_ns ^ now_ns >> 32) ^ (uint32_t)getpid() << 12;
	look.random |= 1;
	return true;
}

bool look_has_own_descriptors(void)
{
	return look.memory->walls.has_own_descriptors;
}

/* The child of a fork must not find a pointer to what is not mapped any more. */
void look_end(void)
{
	struct policy_memory *memory = look.memory;

	look.memory = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	os_unmap(memory, look.memory_bytes);
}

uint64_t look_wall(void)
{
	return look.wall;
}

bool look_finds_idle(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return idle_of(&stats) >= worth_giving(look_limit_bytes());
}

uint64_t look_limit_bytes(void)
{
	return atomic_load(&limit_bytes);
}

void look_fork_child(void)
{
	if (look.memory != NULL)
		os_unmap(look.memory, look.memory_bytes);
	look.memory = NULL;
	atomic_store(&limit_bytes, 0);
}
