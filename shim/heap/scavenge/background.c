/* Scavenging at calm: one step, its budget, its rests. */
#include "shim/heap/scavenge/background.h"

#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/pages/page_ages.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/refault.h"
#include "shim/heap/scavenge/budget.h"
#include "shim/heap/scavenge/growth.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/scavenge/scavenge_costs.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "shim/heap/slabs/central.h"

#include <stdatomic.h>

#define MS_NS ((uint64_t)1000000)

#define STEP_NS MS_NS
#define AGAIN_NS (5 * MS_NS)
/* A thousandth of ten seconds. */
#define BUDGET_PERMILLE_NS (10 * MS_NS)
#define QUANTUM_BYTES ((uint64_t)1 << 20)
/* Where little idles, a look that found little is followed by a rest, so that those looks leave
 * most of the budget to the next burst; what becomes idle meanwhile ends it. */
#define REST_LITTLE_BYTES ((uint64_t)2 << 20)
#define REST_MOST_BYTES ((uint64_t)8 << 20)
#define REST_END_BYTES ((uint64_t)4 << 20)
#define REST_NS (400 * MS_NS)
#define PEEK_NS (200 * MS_NS)
/* A larger change of what is idle is news. */
#define CHANGE_BYTES ((uint64_t)64 << 10)

static struct {
	_Atomic uint32_t policy;
	_Atomic bool dontneed_only;
	_Atomic uint32_t cpu_permille;
	_Atomic uint64_t price_ns;
} tuning = {.cpu_permille = HEAP_CPU_PERMILLE, .price_ns = HEAP_PRICE_NS};

static struct {
	struct scavenge_costs costs;
	struct scavenge_state state;
	struct reuse reuse;
	uint64_t released_bytes; /* by this step */
	uint64_t idle_bytes;     /* what was left when it last changed, and when that was */
	uint64_t changed_ns;
	uint64_t rest_until_ns;
	uint64_t rest_bytes;                   /* of dirty pages: as many end it */
	uint64_t rest_price_ns;                /* another price or policy does, too */
	struct heap_place places[HEAP_LEVELS]; /* where passes of a level go on */
	struct budget budget;
} work;

static _Atomic uint64_t spent_total_ns;
static _Atomic uint64_t break_even_ns;

static uint64_t price_bounded(uint64_t price_ns)
{
	if (price_ns == 0)
		return HEAP_PRICE_NS;
	return price_ns < HEAP_PRICE_NS_MAX ? price_ns : HEAP_PRICE_NS_MAX;
}

void heap_tune(const struct heap_tuning *now)
{
	atomic_store_explicit(&tuning.policy, now->policy, memory_order_relaxed);
	growth_follow(now->policy);
	atomic_store_explicit(&tuning.dontneed_only, now->dontneed_only, memory_order_relaxed);
	atomic_store_explicit(&tuning.cpu_permille,
		now->cpu_permille == 0 || now->cpu_permille > 1000 ? HEAP_CPU_PERMILLE
								   : now->cpu_permille,
		memory_order_relaxed);
	atomic_store_explicit(&tuning.price_ns, price_bounded(now->price_ns), memory_order_relaxed);
}

/*
 * Whether nothing is left to do: nothing went and what is idle hardly changed for as
 * long as the policy lets things idle at most, and no search is in its middle.
 */
static bool is_settled(const struct scavenge_plan *plan, uint64_t now_ns)
{
	struct page_stats pages;
	struct central_stats slots;
	uint64_t cached_slots;
	uint64_t cached_bytes;
	uint64_t idle_bytes;
	uint64_t change_bytes;

	page_heap_stats(&pages);
	central_stats(&slots);
	cache_stats(&cached_slots, &cached_bytes);
	idle_bytes = (pages.dirty + pages.lazy) * PAGE_BYTES + slots.ready_bytes + cached_bytes;
	change_bytes = idle_bytes > work.idle_bytes ? idle_bytes - work.idle_bytes
						    : work.idle_bytes - idle_bytes;
	if (work.released_bytes != 0 || change_bytes > CHANGE_BYTES) {
		work.changed_ns = now_ns;
		work.idle_bytes = idle_bytes;
	}
	for (unsigned i = 0; i < HEAP_LEVELS; i++)
		if (work.places[i].tired)
			return false;
	return idle_bytes == 0 || now_ns - work.changed_ns >= plan->settle_ns;
}

/* Until a step may be spent. */
static uint64_t budget_pause_ns(uint64_t now_ns)
{
	uint64_t permille = atomic_load_explicit(&tuning.cpu_permille, memory_order_relaxed);
	uint64_t limit_ns = permille * BUDGET_PERMILLE_NS;

	return budget_wait_ns(&work.budget, now_ns, STEP_NS + limit_ns / 10, limit_ns);
}

static void spend(uint64_t start_cpu_ns)
{
	uint64_t spent_ns = os_cpu_ns() - start_cpu_ns;

	budget_spend(&work.budget, os_now_ns(), spent_ns);
	atomic_fetch_add_explicit(&spent_total_ns, spent_ns, memory_order_relaxed);
}

static uint64_t dirty_bytes(void)
{
	struct page_stats pages;

	page_heap_stats(&pages);
	return pages.dirty * PAGE_BYTES;
}

/* For how long a rest still goes on: a peek at most. */
static uint64_t rest_ns(enum heap_policy policy, uint64_t now_ns)
{
	uint64_t price_ns = atomic_load_explicit(&tuning.price_ns, memory_order_relaxed);

	if (now_ns >= work.rest_until_ns || policy != HEAP_ADAPTIVE ||
		price_ns != work.rest_price_ns || dirty_bytes() >= work.rest_bytes)
		return 0;
	return work.rest_until_ns - now_ns < PEEK_NS ? work.rest_until_ns - now_ns : PEEK_NS;
}

static void rest_begin(uint64_t now_ns)
{
	if (work.released_bytes >= REST_LITTLE_BYTES || dirty_bytes() > REST_MOST_BYTES)
		return;
	work.rest_until_ns = now_ns + REST_NS;
	work.rest_bytes = dirty_bytes() + REST_END_BYTES;
	work.rest_price_ns = atomic_load_explicit(&tuning.price_ns, memory_order_relaxed);
}

/* What the policy sees of the heap. */
static void view_read(struct scavenge_view *view, uint64_t now_ns)
{
	struct page_stats pages;

	page_heap_stats(&pages);
	*view = (struct scavenge_view){
		.now_ns = now_ns,
		.price_ns = atomic_load_explicit(&tuning.price_ns, memory_order_relaxed),
		.dontneed_only = atomic_load_explicit(&tuning.dontneed_only, memory_order_relaxed),
		.in_use_bytes = pages.in_use * PAGE_BYTES,
		.dirty_bytes = pages.dirty * PAGE_BYTES,
		.lazy_bytes = pages.lazy * PAGE_BYTES,
		.taken_bytes = pages.taken * PAGE_BYTES,
		.costs = &work.costs,
		.reuse = &work.reuse,
	};
}

static bool is_any(const struct hunt_ages *ages)
{
	for (unsigned i = 0; i < RUN_CLASSES; i++)
		if (ages->dirty[i].before_ns != 0 || ages->lazy[i].before_ns != 0)
			return true;
	return false;
}

/* Passes at one level until nothing is left or the step is over; true: there is more. */
static bool run(const struct scavenge_plan *plan, enum heap_level level,
	const struct hunt_ages *ages, uint64_t until_cpu_ns)
{
	struct heap_place *place = &work.places[level];
	uint64_t gone_bytes = 0;
	bool more = true;

	/* What became idle since the last step comes first, unless that would be all that is ever
	 * looked at. */
	if (!place->tired)
		*place = (struct heap_place){0};
	while (more && os_cpu_ns() < until_cpu_ns) {
		struct heap_pass pass = {
			.level = level,
			.max_bytes = QUANTUM_BYTES,
			.cushion_bytes = plan->keep_bytes,
			.slabs_idle_before_ns = plan->slabs_before_ns,
			.ages = ages,
			.without_holes = !plan->holes,
			.place = place,
		};

		/* While there may be runs enough, slabs can wait for a pass. */
		if (gone_bytes >= QUANTUM_BYTES)
			pass.slabs_idle_before_ns = 0;
		heap_scavenge(&pass, HEAP_BACKGROUND);
		gone_bytes = pass.clean_bytes + pass.lazy_bytes;
		work.released_bytes += gone_bytes;
		more = pass.slabs_idle_before_ns == 0 ||
		       (pass.more && (gone_bytes != 0 || place->tired));
	}
	return more;
}

static bool plan_perform(const struct scavenge_plan *plan, uint64_t until_cpu_ns)
{
	bool more = run(plan, HEAP_EAGER, &plan->away, until_cpu_ns);

	if (!is_any(&plan->lazy))
		work.places[HEAP_LAZY] = (struct heap_place){0};
	else
		more |= run(plan, HEAP_LAZY, &plan->lazy, until_cpu_ns);
	return more;
}

/* What a thread that grows pays with until the next step. */
static void growth_plan(enum heap_policy policy, const struct scavenge_view *view,
	const struct scavenge_plan *plan, bool more)
{
	if (policy == HEAP_GO1_12)
		growth_tune(view->dontneed_only ? HEAP_EAGER : HEAP_LAZY, UINT64_MAX);
	else if (policy == HEAP_ADAPTIVE && more && view->now_ns > plan->break_even_ns)
		growth_tune(HEAP_EAGER, view->now_ns - plan->break_even_ns);
	else
		growth_tune(HEAP_CALM, 0);
}

uint64_t heap_background(uint64_t now_ns)
{
	enum heap_policy policy =
		(enum heap_policy)atomic_load_explicit(&tuning.policy, memory_order_relaxed);
	uint64_t start_ns = os_cpu_ns();
	uint64_t pause_ns = budget_pause_ns(now_ns);
	struct scavenge_view view;
	struct scavenge_plan plan;
	bool more;

	/* Who was woken before its time has no more to spend for that. */
	if (pause_ns == 0)
		pause_ns = rest_ns(policy, now_ns);
	if (pause_ns != 0)
		return pause_ns;
	scavenge_costs_read(&work.costs);
	view_read(&view, now_ns);
	page_ages_account(
		now_ns, scavenge_break_even_ns(&work.costs, RUN_CHUNK, view.price_ns), &work.reuse);
	scavenge_policy_step(&work.state, policy, &view, &plan);
	atomic_store_explicit(&break_even_ns, plan.break_even_ns, memory_order_relaxed);
	if (plan.pause_ns == HEAP_UNTIL_USED) {
		growth_tune(HEAP_CALM, 0);
		spend(start_ns);
		return HEAP_UNTIL_USED;
	}
	work.released_bytes = 0;
	refault_look(now_ns);
	huge_look(now_ns);
	more = plan_perform(&plan, start_ns + STEP_NS);
	growth_plan(policy, &view, &plan, more);
	spend(start_ns);
	if (is_settled(&plan, now_ns))
		return huge_pause_ns(now_ns);
	now_ns = os_now_ns();
	pause_ns = budget_pause_ns(now_ns);
	if (more) {
		plan.pause_ns = AGAIN_NS;
	} else if (pause_ns == 0) {
		rest_begin(now_ns);
		pause_ns = rest_ns(policy, now_ns);
	}
	return pause_ns > plan.pause_ns ? pause_ns : plan.pause_ns;
}

void background_stats(struct background_stats *stats)
{
	scavenge_costs_read(&stats->costs);
	stats->break_even_ns = atomic_load_explicit(&break_even_ns, memory_order_relaxed);
	stats->cpu_ns = atomic_load_explicit(&spent_total_ns, memory_order_relaxed);
}

void background_after_fork(void)
{
	work.budget = (struct budget){.slot = 0};
}
