/* The policies of calm scavenging, pure. */
#include "shim/heap/scavenge/scavenge_policy.h"

#include <string.h>

#define SECOND_NS ((uint64_t)1000000000)
#define MS_NS ((uint64_t)1000000)

#define GO_RUN_EVERY_NS (150 * SECOND_NS)
#define GO_IDLE_NS (300 * SECOND_NS)
#define PACED_PAUSE_NS (100 * MS_NS)
#define DECAY_PAUSE_NS (100 * MS_NS)
/* After the age at which things go, for those that were on their way. */
#define SETTLE_NS (5 * SECOND_NS)
#define HOUR_NS (3600 * SECOND_NS)

/* Medians of a two-CPU virtual machine, Linux 6.18, 64 MiB each. */
const struct scavenge_costs scavenge_costs_first = {
	.free_page_ns = {[RUN_SHORT] = 600,
		[RUN_16_PAGES] = 277,
		[RUN_64_PAGES] = 220,
		[RUN_256_PAGES] = 190,
		[RUN_CHUNK] = 180},
	.dontneed_page_ns = {[RUN_SHORT] = 800,
		[RUN_16_PAGES] = 403,
		[RUN_64_PAGES] = 300,
		[RUN_256_PAGES] = 250,
		[RUN_CHUNK] = 234},
	.dontneed_lazy_page_ns = 333,
	.refault_page_ns = 1619,
	.lazy_write_page_ns = 180,
};

uint64_t scavenge_break_even_ns(
	const struct scavenge_costs *costs, enum run_class size, uint64_t price_ns)
{
	uint64_t round_trip_ns =
		costs->dontneed_page_ns[size] + scavenge_refault_page_ns(costs, size);

	if (price_ns == 0 || round_trip_ns / price_ns >= HOUR_NS / SECOND_NS)
		return HOUR_NS;
	return round_trip_ns * SECOND_NS / price_ns;
}

static uint64_t ago_ns(uint64_t now_ns, uint64_t age_ns)
{
	return now_ns > age_ns ? now_ns - age_ns : 0;
}

static void ages_set(struct hunt_age ages[RUN_CLASSES], uint64_t before_ns)
{
	for (unsigned i = 0; i < RUN_CLASSES; i++)
		ages[i] = (struct hunt_age){before_ns, HUNT_ALL_BUCKETS};
}

/* Dirty pages idle since before go: by MADV_FREE where that may be. */
static void plan_free(
	struct scavenge_plan *plan, const struct scavenge_view *view, uint64_t before_ns)
{
	ages_set(view->dontneed_only ? plan->away.dirty : plan->lazy.dirty, before_ns);
}

/* The cycle ---------------------------------------------------------------- */

static void cycle_step(struct scavenge_state *state, const struct scavenge_view *view)
{
	uint64_t ended = (view->now_ns - state->cycle_at_ns) / SCAVENGE_CYCLE_NS;

	if (view->taken_bytes - state->cycle_taken_bytes >= SCAVENGE_CYCLE_BYTES && ended == 0)
		ended = 1;
	if (view->in_use_bytes > state->cycle_peak_bytes)
		state->cycle_peak_bytes = view->in_use_bytes;
	/* Cycles that nobody looked into were like their end. */
	for (uint64_t i = 0; i < ended && i < SCAVENGE_CYCLES; i++) {
		state->peaks_bytes[state->cycle++ % SCAVENGE_CYCLES] = state->cycle_peak_bytes;
		state->cycle_peak_bytes = view->in_use_bytes;
	}
	if (ended != 0) {
		state->cycle_at_ns = view->now_ns;
		state->cycle_taken_bytes = view->taken_bytes;
		state->cycle_end_bytes = view->in_use_bytes;
	}
}

static uint64_t peak_bytes(const struct scavenge_state *state)
{
	uint64_t most = state->cycle_peak_bytes;

	for (unsigned i = 0; i < SCAVENGE_CYCLES; i++)
		most = state->peaks_bytes[i] > most ? state->peaks_bytes[i] : most;
	return most;
}

/* What of idle memory is within a goal for all that is resident. */
static uint64_t keep_within(uint64_t goal_bytes, uint64_t in_use_bytes)
{
	return goal_bytes > in_use_bytes ? goal_bytes - in_use_bytes : 0;
}

/* The Go policies ---------------------------------------------------------- */

static uint64_t go_before_ns(
	struct scavenge_state *state, const struct scavenge_view *view, struct scavenge_plan *plan)
{
	uint64_t since_ns = view->now_ns - state->run_at_ns;

	if (since_ns >= GO_RUN_EVERY_NS) {
		state->run_at_ns = view->now_ns;
		since_ns = 0;
	}
	plan->pause_ns = GO_RUN_EVERY_NS - since_ns;
	plan->settle_ns = GO_IDLE_NS + GO_RUN_EVERY_NS + SETTLE_NS;
	return ago_ns(state->run_at_ns, GO_IDLE_NS);
}

static void go1_11(
	struct scavenge_state *state, const struct scavenge_view *view, struct scavenge_plan *plan)
{
	ages_set(plan->away.dirty, go_before_ns(state, view, plan));
}

static void go1_12(
	struct scavenge_state *state, const struct scavenge_view *view, struct scavenge_plan *plan)
{
	plan_free(plan, view, go_before_ns(state, view, plan));
	plan->keep_bytes =
		keep_within(peak_bytes(state) + peak_bytes(state) / 8, view->in_use_bytes);
	/* The peak is looked for within each cycle. */
	if (plan->pause_ns > SCAVENGE_CYCLE_NS)
		plan->pause_ns = SCAVENGE_CYCLE_NS;
}

static void go1_13(
	struct scavenge_state *state, const struct scavenge_view *view, struct scavenge_plan *plan)
{
	uint64_t last_bytes = state->cycle_end_bytes;

	plan_free(plan, view, UINT64_MAX);
	plan->keep_bytes = keep_within(last_bytes + last_bytes / 10, view->in_use_bytes);
	plan->pause_ns = PACED_PAUSE_NS;
	plan->settle_ns = SCAVENGE_CYCLE_NS + SETTLE_NS;
}

/* decay -------------------------------------------------------------------- */

/* 2^16 * (6 x^5 - 15 x^4 + 10 x^3) at x = step / steps. */
static uint64_t smoothstep(uint64_t step, uint64_t steps)
{
	uint64_t x = (step << 16) / steps;
	uint64_t x2 = x * x >> 16;
	uint64_t x3 = x2 * x >> 16;
	uint64_t x4 = x3 * x >> 16;
	uint64_t x5 = x4 * x >> 16;

	return 6 * x5 + 10 * x3 - 15 * x4;
}

static void backlog_advance(struct scavenge_state *state, uint64_t epochs, uint64_t new_bytes)
{
	size_t left = epochs < SCAVENGE_DECAY_EPOCHS ? SCAVENGE_DECAY_EPOCHS - epochs : 0;

	memmove(state->backlog, state->backlog + SCAVENGE_DECAY_EPOCHS - left,
		left * sizeof state->backlog[0]);
	memset(state->backlog + left, 0, (SCAVENGE_DECAY_EPOCHS - left) * sizeof state->backlog[0]);
	state->backlog[SCAVENGE_DECAY_EPOCHS - 1] = new_bytes;
}

static uint64_t backlog_limit(const struct scavenge_state *state)
{
	uint64_t limit = 0;

	for (uint64_t i = 0; i < SCAVENGE_DECAY_EPOCHS; i++)
		limit += (state->backlog[i] >> 12) * smoothstep(i + 1, SCAVENGE_DECAY_EPOCHS);
	return limit >> 16 << 12;
}

static void decay(
	struct scavenge_state *state, const struct scavenge_view *view, struct scavenge_plan *plan)
{
	uint64_t epoch_ns = SCAVENGE_DECAY_NS / SCAVENGE_DECAY_EPOCHS;
	uint64_t epochs = (view->now_ns - state->epoch_at_ns) / epoch_ns;
	uint64_t dirty_bytes = view->dirty_bytes;

	if (epochs != 0) {
		uint64_t new_bytes = dirty_bytes > state->unpurged_bytes
					     ? dirty_bytes - state->unpurged_bytes
					     : 0;

		state->epoch_at_ns += epochs * epoch_ns;
		backlog_advance(state, epochs, new_bytes);
	}
	plan->keep_bytes = backlog_limit(state);
	if (epochs != 0)
		state->unpurged_bytes =
			dirty_bytes < plan->keep_bytes ? dirty_bytes : plan->keep_bytes;
	ages_set(plan->away.dirty, UINT64_MAX);
	plan->pause_ns = DECAY_PAUSE_NS;
	plan->settle_ns = SCAVENGE_DECAY_NS + SETTLE_NS;
}

/* All ---------------------------------------------------------------------- */

static void state_begin(
	struct scavenge_state *state, enum heap_policy policy, const struct scavenge_view *view)
{
	memset(state, 0, sizeof *state);
	state->begun = true;
	state->policy = policy;
	state->cycle_at_ns = view->now_ns;
	state->cycle_taken_bytes = view->taken_bytes;
	state->cycle_end_bytes = view->in_use_bytes;
	state->run_at_ns = view->now_ns;
	state->epoch_at_ns = view->now_ns;
}

void scavenge_policy_step(struct scavenge_state *state, enum heap_policy policy,
	const struct scavenge_view *view, struct scavenge_plan *plan)
{
	if (!state->begun || state->policy != policy)
		state_begin(state, policy, view);
	memset(plan, 0, sizeof *plan);
	plan->away.now_ns = view->now_ns;
	plan->lazy.now_ns = view->now_ns;
	plan->break_even_ns = scavenge_break_even_ns(view->costs, RUN_CHUNK, view->price_ns);
	plan->slabs_before_ns = ago_ns(view->now_ns, SCAVENGE_CYCLE_NS);
	cycle_step(state, view);
	switch (policy) {
	case HEAP_GO1_11:
		go1_11(state, view, plan);
		break;
	case HEAP_GO1_12:
		go1_12(state, view, plan);
		break;
	case HEAP_GO1_13:
		go1_13(state, view, plan);
		break;
	case HEAP_DECAY:
		decay(state, view, plan);
		break;
	case HEAP_ADAPTIVE:
		scavenge_adaptive(view, plan);
		break;
	case HEAP_OFF:
	case HEAP_POLICIES:
		plan->slabs_before_ns = 0;
		plan->keep_bytes = UINT64_MAX;
		plan->pause_ns = HEAP_UNTIL_USED;
		break;
	}
}
