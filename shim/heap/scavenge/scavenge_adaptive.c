/* The adaptive policy: ages at which keeping is dearer than giving back. */
#include "shim/heap/scavenge/scavenge_policy.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/page.h"

/* The arithmetic of scavenge_policy.h, in whole numbers: costs in 256ths of a nanosecond a page,
 * parts of one in 2^16ths. */

#define SECOND_NS ((uint64_t)1000000000)
#define MS_NS ((uint64_t)1000000)
#define ONE ((uint64_t)1 << 16)
#define COST_SHIFT 8

#define PRIOR_DIVISOR 8U

#define PAUSE_NS_MIN (50 * MS_NS)
#define PAUSE_NS_MAX (1000 * MS_NS)
#define PAUSE_NS_FEW (200 * MS_NS)
#define FEW_BYTES ((uint64_t)2 << 20)
/* What a look costs at which nothing goes. */
#define LOOK_US ((uint64_t)100)
#define SETTLE_NS (5 * SECOND_NS)
/* Less than this of idle pages is not waited for. */
#define IDLE_BYTES_MIN ((uint64_t)64 << 10)

/* Caches and slabs are emptied as the shortest runs would go, but not later than at the break-even
 * of those that a batch of holes is like, and within these. */
#define SLABS_IDLE_NS_MIN (500 * MS_NS)
#define SLABS_IDLE_NS_MAX (10 * SECOND_NS)

/* Buckets, a bit each, in which a page goes. */
struct going {
	uint64_t dirty_away;
	uint64_t dirty_lazy;
	uint64_t lazy_away;
	uint64_t before_ns;
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
static void choose(const struct scavenge_view *view, unsigned size, struct going *going)
{
	const struct scavenge_costs *costs = view->costs;
	uint64_t refault = scavenge_refault_page_ns(costs, (enum run_class)size) << COST_SHIFT;
	uint64_t away = costs->dontneed_page_ns[size] << COST_SHIFT;
	uint64_t lazy_away = costs->dontneed_lazy_page_ns << COST_SHIFT;
	uint64_t lazy_write = costs->lazy_write_page_ns << COST_SHIFT;
	uint64_t free_cost = costs->free_page_ns[size] << COST_SHIFT;
	uint64_t again = 0;
	uint64_t dirty = away;
	uint64_t lazy = lazy_away;

	for (unsigned i = REUSE_BUCKETS; i-- > 0;) {
		uint64_t stays = bucket_stays(view->reuse, size, i);
		uint64_t width_us = (bucket_end_ns(i) - reuse_bucket_start_ns(i)) / 1000;
		uint64_t keep = (view->price_ns << COST_SHIFT) * width_us / 1000000;
		uint64_t held = keep * (ONE + stays) / (2 * ONE);
		uint64_t back;

		again = ONE - stays * (ONE - again) / ONE;
		back = refault * again / ONE;
		dirty = held + stays * dirty / ONE;
		lazy = held * SCAVENGE_LAZY_PERMILLE / 1000 + (ONE - stays) * lazy_write / ONE +
		       stays * lazy / ONE;
		if (lazy_away + back <= lazy) {
			going->lazy_away |= (uint64_t)1 << i;
			lazy = lazy_away + back;
		}
		if (away + back <= dirty &&
			(view->dontneed_only || away + back <= free_cost + lazy)) {
			going->dirty_away |= (uint64_t)1 << i;
			dirty = away + back;
		} else if (!view->dontneed_only && free_cost + lazy < dirty) {
			going->dirty_lazy |= (uint64_t)1 << i;
			dirty = free_cost + lazy;
		}
	}
}

static struct going going_of(const struct scavenge_view *view, unsigned size)
{
	struct going going = {.before_ns = view->now_ns};

	if (nothing_is_known(view->reuse, size)) {
		uint64_t age_ns = scavenge_break_even_ns(view->costs, size, view->price_ns);

		going.before_ns = view->now_ns > age_ns ? view->now_ns - age_ns : 0;
		going.dirty_away = HUNT_ALL_BUCKETS;
		going.lazy_away = HUNT_ALL_BUCKETS;
	} else {
		choose(view, size, &going);
	}
	return going;
}

/* The age at which pages begin to go, and the one from which on all do. */
static uint64_t soonest_ns(const struct going *going, uint64_t now_ns)
{
	uint64_t buckets = going->dirty_away | going->dirty_lazy;
	uint64_t age_ns = now_ns - going->before_ns;
	uint64_t bucket_ns =
		buckets != 0 ? reuse_bucket_start_ns(bits_lowest(buckets)) : UINT64_MAX;

	return bucket_ns > age_ns ? bucket_ns : age_ns;
}

static uint64_t latest_ns(const struct going *going, uint64_t now_ns)
{
	uint64_t stays = ~(going->dirty_away | going->dirty_lazy) & bits_mask(0, REUSE_BUCKETS);
	uint64_t age_ns = now_ns - going->before_ns;
	uint64_t bucket_ns = stays != 0 ? bucket_end_ns(bits_highest(stays)) : 0;

	return bucket_ns > age_ns ? bucket_ns : age_ns;
}

static uint64_t square_root(uint64_t value)
{
	uint64_t root = (uint64_t)1 << 32;
	uint64_t next = value < root ? value : root - 1;

	/* Newton's, from above. */
	while (next < root && next != 0) {
		root = next;
		next = (root + value / root) / 2;
	}
	return next == 0 ? 0 : root;
}

/* min(h / 2, sqrt(2 c h / k)) of the header, within bounds. */
static uint64_t pause_ns(const struct scavenge_view *view, uint64_t held_ns)
{
	uint64_t idle_bytes = view->dirty_bytes + view->lazy_bytes;
	uint64_t pages = idle_bytes / PAGE_BYTES;
	/* For a second. */
	uint64_t keep_us = pages / 1000 * view->price_ns + pages % 1000 * view->price_ns / 1000;
	uint64_t pause = held_ns / 2;

	if (keep_us != 0)
		pause = least(pause,
			square_root(2 * LOOK_US * (held_ns / 1000) * 1000000 / keep_us) * 1000);
	pause = pause > PAUSE_NS_MIN ? pause : PAUSE_NS_MIN;
	/* Little is not worth many looks, and more is seen soon enough. */
	return idle_bytes < FEW_BYTES && pause < PAUSE_NS_FEW ? PAUSE_NS_FEW : pause;
}

void scavenge_adaptive(const struct scavenge_view *view, struct scavenge_plan *plan)
{
	uint64_t first_ns = PAUSE_NS_MAX * 2;
	uint64_t last_ns = 0;
	uint64_t slabs_ns = scavenge_break_even_ns(view->costs, RUN_64_PAGES, view->price_ns);

	for (unsigned size = 0; size < RUN_CLASSES; size++) {
		struct going going = going_of(view, size);
		uint64_t sooner_ns = soonest_ns(&going, view->now_ns);
		uint64_t later_ns = latest_ns(&going, view->now_ns);

		plan->away.dirty[size] = (struct hunt_age){going.before_ns, going.dirty_away};
		plan->away.lazy[size] = (struct hunt_age){going.before_ns, going.lazy_away};
		if (going.dirty_lazy != 0)
			plan->lazy.dirty[size] =
				(struct hunt_age){going.before_ns, going.dirty_lazy};
		first_ns = least(first_ns, sooner_ns);
		last_ns = later_ns > last_ns ? later_ns : last_ns;
		if (size == RUN_SHORT)
			slabs_ns = least(slabs_ns, sooner_ns);
	}
	slabs_ns = slabs_ns < SLABS_IDLE_NS_MIN ? SLABS_IDLE_NS_MIN : slabs_ns;
	slabs_ns = least(slabs_ns, SLABS_IDLE_NS_MAX);
	plan->slabs_before_ns = view->now_ns > slabs_ns ? view->now_ns - slabs_ns : 0;
	plan->holes = true;
	plan->pause_ns = pause_ns(view, first_ns);
	plan->settle_ns = slabs_ns + SETTLE_NS;
	if (view->dirty_bytes + view->lazy_bytes > IDLE_BYTES_MIN && last_ns > slabs_ns)
		plan->settle_ns = last_ns + SETTLE_NS;
}
