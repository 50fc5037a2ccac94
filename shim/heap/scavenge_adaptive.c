#include "shim/heap/scavenge_policy.h"

/* The arithmetic of scavenge_policy.h, in whole numbers: costs in 256ths of a nanosecond a page,
 * parts of one in 2^16ths. */

#define SECOND_NS ((uint64_t)1000000000)
#define MS_NS ((uint64_t)1000000)
#define ONE ((uint64_t)1 << 16)
#define COST_SHIFT 8

#define PRIOR_DIVISOR 4U

#define PAUSE_NS_MIN (50 * MS_NS)
#define PAUSE_NS_MAX (1000 * MS_NS)
#define SETTLE_NS (5 * SECOND_NS)
/* Less than this of idle pages is not waited for. */
#define IDLE_BYTES_MIN ((uint64_t)64 << 10)

/* Caches and slabs in use are not worth emptying sooner, and not worth keeping for longer. */
#define SLABS_IDLE_NS_MIN (500 * MS_NS)
#define SLABS_IDLE_NS_MAX (10 * SECOND_NS)

enum choice { HOLD, LAZY, AWAY };

struct hold {
	uint64_t dirty_away_ns; /* ages; UINT64_MAX: never */
	uint64_t dirty_lazy_ns;
	uint64_t lazy_away_ns;
};

static uint64_t bucket_end_ns(unsigned bucket)
{
	/* The last one has no end; it counts as wide as it is old. */
	return bucket + 1 < REUSE_BUCKETS ? reuse_bucket_start_ns(bucket + 1)
					  : 2 * reuse_bucket_start_ns(bucket);
}

/* S = X / (X + w E), what is exposed and wanted with the prior added. */
static uint64_t bucket_stays(const struct reuse *reuse, unsigned size, unsigned bucket)
{
	uint64_t start_ns = reuse_bucket_start_ns(bucket);
	uint64_t end_ns = bucket_end_ns(bucket);
	uint64_t width = (end_ns - start_ns) / REUSE_TICK_NS;
	uint64_t age = (start_ns / 2 + end_ns / 2) / REUSE_TICK_NS;
	uint64_t prior = reuse->most[size] / PRIOR_DIVISOR + 1;
	uint64_t exposed = reuse->exposed[size][bucket];
	uint64_t wanted = reuse->wanted[size][bucket];
	uint64_t leaves;

	/* Both are scaled down together until their products fit. */
	while ((exposed | wanted | prior) >> 36 != 0) {
		exposed >>= 1;
		wanted >>= 1;
		prior >>= 1;
	}
	exposed += prior * age;
	leaves = (wanted + prior) * width;
	while ((exposed | leaves) >> 46 != 0) {
		exposed >>= 1;
		leaves >>= 1;
	}
	return exposed * ONE / (exposed + leaves + 1);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool nothing_is_known(const struct reuse *reuse, unsigned size)
{
	for (unsigned i = 0; i < REUSE_BUCKETS; i++)
		if (reuse->wanted[size][i] != 0 || reuse->exposed[size][i] != 0)
			return false;
	return true;
}

/* Backwards through the ages: what is best in each bucket for a dirty page and for a lazy one. */
static void choose(const struct scavenge_view *view, unsigned size,
	enum choice dirty_choice[REUSE_BUCKETS], enum choice lazy_choice[REUSE_BUCKETS])
{
	const struct scavenge_costs *costs = view->costs;
	uint64_t refault = costs->refault_page_ns << COST_SHIFT;
	uint64_t away = costs->dontneed_page_ns[size] << COST_SHIFT;
	uint64_t lazy_away = costs->dontneed_lazy_page_ns << COST_SHIFT;
	uint64_t free_cost = costs->free_page_ns[size] << COST_SHIFT;
	uint64_t again = 0;
	uint64_t dirty = away;
	uint64_t lazy = lazy_away;

	for (unsigned i = REUSE_BUCKETS; i-- > 0;) {
		uint64_t stays = bucket_stays(view->reuse, size, i);
		uint64_t width_us = (bucket_end_ns(i) - reuse_bucket_start_ns(i)) / 1000;
		uint64_t keep = (view->price_ns << COST_SHIFT) * width_us / 1000000;
		uint64_t held = keep * (ONE + stays) / (2 * ONE);
		uint64_t hold_dirty = held + stays * dirty / ONE;
		uint64_t hold_lazy =
			held * SCAVENGE_LAZY_PERMILLE / 1000 +
			(ONE - stays) * (costs->lazy_write_page_ns << COST_SHIFT) / ONE +
			stays * lazy / ONE;
		uint64_t back;

		again = ONE - stays * (ONE - again) / ONE;
		back = refault * again / ONE;
		lazy_choice[i] = lazy_away + back <= hold_lazy ? AWAY : HOLD;
		lazy = least(lazy_away + back, hold_lazy);
		dirty_choice[i] = HOLD;
		dirty = hold_dirty;
		if (!view->dontneed_only && free_cost + lazy < dirty) {
			dirty_choice[i] = LAZY;
			dirty = free_cost + lazy;
		}
		if (away + back <= dirty) {
			dirty_choice[i] = AWAY;
			dirty = away + back;
		}
	}
}

static uint64_t first_ns(
	const enum choice choices[REUSE_BUCKETS], unsigned from, enum choice wanted)
{
	for (unsigned i = from; i < REUSE_BUCKETS; i++)
		if (choices[i] == wanted)
			return reuse_bucket_start_ns(i);
	return UINT64_MAX;
}

static struct hold hold_of(const struct scavenge_view *view, unsigned size)
{
	enum choice dirty_choice[REUSE_BUCKETS];
	enum choice lazy_choice[REUSE_BUCKETS];
	struct hold hold;
	unsigned first = 0;

	choose(view, size, dirty_choice, lazy_choice);
	while (first < REUSE_BUCKETS && dirty_choice[first] == HOLD)
		first++;
	hold.dirty_lazy_ns = UINT64_MAX;
	hold.dirty_away_ns = UINT64_MAX;
	hold.lazy_away_ns = first_ns(lazy_choice, first < REUSE_BUCKETS ? first : 0, AWAY);
	if (first < REUSE_BUCKETS && dirty_choice[first] == LAZY)
		hold.dirty_lazy_ns = reuse_bucket_start_ns(first);
	if (first < REUSE_BUCKETS && dirty_choice[first] == AWAY)
		hold.dirty_away_ns = reuse_bucket_start_ns(first);
	if (nothing_is_known(view->reuse, size)) {
		hold.dirty_lazy_ns = UINT64_MAX;
		hold.dirty_away_ns = scavenge_break_even_ns(view->costs, size, view->price_ns);
		hold.lazy_away_ns = hold.dirty_away_ns;
	}
	return hold;
}

/* The youngest that may go: at least a nanosecond, since 0 means none. */
static uint64_t before_ns(uint64_t now_ns, uint64_t age_ns)
{
	if (age_ns == UINT64_MAX)
		return 0;
	return now_ns > age_ns ? now_ns - age_ns : 0;
}

void scavenge_adaptive(const struct scavenge_view *view, struct scavenge_plan *plan)
{
	uint64_t soonest_ns = UINT64_MAX;
	uint64_t latest_ns = 0;
	uint64_t slabs_ns = SLABS_IDLE_NS_MAX;

	for (unsigned size = 0; size < RUN_CLASSES; size++) {
		struct hold hold = hold_of(view, size);
		uint64_t sooner_ns = least(hold.dirty_away_ns, hold.dirty_lazy_ns);

		plan->away.dirty_before_ns[size] = before_ns(view->now_ns, hold.dirty_away_ns);
		plan->away.lazy_before_ns[size] = before_ns(view->now_ns, hold.lazy_away_ns);
		plan->lazy.dirty_before_ns[size] = before_ns(view->now_ns, hold.dirty_lazy_ns);
		soonest_ns = least(soonest_ns, sooner_ns);
		if (hold.lazy_away_ns != UINT64_MAX && hold.lazy_away_ns > latest_ns)
			latest_ns = hold.lazy_away_ns;
		if (sooner_ns != UINT64_MAX && sooner_ns > latest_ns)
			latest_ns = sooner_ns;
		if (size == RUN_SHORT)
			slabs_ns = least(slabs_ns, hold.dirty_away_ns);
	}
	if (slabs_ns < SLABS_IDLE_NS_MIN)
		slabs_ns = SLABS_IDLE_NS_MIN;
	plan->slabs_before_ns = before_ns(view->now_ns, slabs_ns);
	plan->holes = true;
	plan->pause_ns = soonest_ns / 2;
	if (plan->pause_ns < PAUSE_NS_MIN)
		plan->pause_ns = PAUSE_NS_MIN;
	if (plan->pause_ns > PAUSE_NS_MAX)
		plan->pause_ns = PAUSE_NS_MAX;
	plan->settle_ns = slabs_ns + SETTLE_NS;
	if (view->dirty_bytes + view->lazy_bytes > IDLE_BYTES_MIN && latest_ns > slabs_ns)
		plan->settle_ns = latest_ns + SETTLE_NS;
}
