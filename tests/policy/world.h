#ifndef TESTS_POLICY_WORLD_H
#define TESTS_POLICY_WORLD_H

#include "tests/policy/fixture.h"

#include "supervisor/policy/limit.h"

/*
 * A model of what policy steers: four heaps under one wall, a kernel
 * that charges and takes lazily freed pages at the wall, and a supervisor that
 * looks when the plan says so or someone notifies.  The model's clock ticks in ms.
 *
 * Each heap's live bytes swing between 10 and 120 MiB, a quarter of a period
 * apart: the live bytes of all together fit (223 MiB at the most), the peaks do
 * not.  A heap reuses its idle bytes except for UNFIT_BYTES of holes, takes
 * credit for the rest, populates it, and answers a release some ms after it was asked.
 * Between sample and plan the heaps go on, so credit is stored as plan.h says.
 *
 * Above memory.high the kernel takes the heap's lazily freed pages, and then slows it
 * down the more the further above it is; a brake that has reached its deadline comes off by
 * itself.  memory.reclaim takes RECLAIM_BYTES_PER_MS of what costs nobody anything, as
 * the kernel does at the wall.
 */

#define HEAPS 4
#define WALL_BYTES (256 * MIB)
#define RUN_MS 60000
#define BASE_BYTES (4 * MIB)
#define UNFIT_BYTES (6 * MIB)
#define RELEASE_BYTES_PER_MS (2 * MIB)
/* At 1/1000 over memory.high, and at twice as much a quarter of it (Linux, mm/memcontrol.c,
 * calculate_high_delay). */
#define PENALISED_BYTES_PER_MS (4 * MIB)
#define RECLAIM_BYTES_PER_MS (256 * KIB)

/* How fast the machine is on that day. */
struct speed {
	uint64_t populate_bytes_per_ms;
	uint64_t need_bytes_max; /* of one growth */
	uint64_t answer_ms;      /* from request to the first byte */
	uint64_t perform_ms;     /* from sample to plan performed */
};

static const struct speed usual = {1700 * KIB, 4 * MIB, 3, 1};

/* What makes a world harder; the last heap is the odd one. */
enum {
	OWN_WALLS = 1, /* each heap has one of its own too, which fits its peak */
	LIVE_WALL = 2, /* the first heap's own wall is lowered, and the shared one raised */
	SLAB = 4,      /* a crawler fills the kernel's caches, which it takes back by itself */
	LIAR = 8,      /* says that it gave what it was asked for, and holds more */
	MUTE = 16,     /* never answers */
	STRANGER = 32, /* has no heap of ours: asks nobody, and keeps nothing that is freed */
	BRAKE = 64,    /* leaves have a memory.high that may be written */
	RECLAIM = 128, /* and a memory.reclaim */
	TIGHT = 256,   /* the wall leaves less than full's threshold when most is live */
	ENDS = 512,    /* all in one cgroup: what any frees is gone, as of a process that ends */
	SILENT = 1024, /* heaps do not tell what they have made resident */
	WISHER = 2048, /* wants world.wish_bytes from the first ms on and takes none; the first heap
			* works, the others rest */
};
#define WORK_BYTES (16 * MIB)
#define WORK_BYTES_PER_MS (2 * MIB)
#define OWN_WALL_BYTES (140 * MIB)
#define LOWERED_MS 20000
#define RAISED_MS 40000
#define SLAB_BYTES_PER_MS (64 * KIB)
#define TIGHTER_BYTES (16 * MIB)

struct heap {
	uint64_t live_bytes;
	uint64_t dirty_bytes;
	uint64_t lazy_bytes;      /* as the heap believes */
	uint64_t lazy_kept_bytes; /* of these, still charged */
	uint64_t to_charge_bytes; /* taken, not yet populated */
	uint64_t credited_bytes;  /* of these, what credit paid for */
	uint64_t populated_bytes; /* heap_sample's */
	uint64_t wants_bytes;
	uint64_t waits_since_ms;
	uint64_t released_bytes;
	uint64_t gone_bytes; /* of these, what usage fell by */
	enum level asked;
	uint64_t target_bytes;
	uint64_t answers_ms; /* it begins to */
	uint64_t credit_bytes;
	uint64_t high_bytes; /* memory.high */
	uint64_t high_until_ms;
	uint64_t events_high;
	bool frees; /* at work: it has built WORK_BYTES */
};

static struct world {
	struct heap heap[HEAPS];
	uint64_t period_ms;
	uint64_t run_ms;
	struct speed speed;
	int odds;
	uint64_t wall_bytes;
	uint64_t own_wall_bytes[HEAPS];
	struct limit lowered;
	uint64_t slab_bytes;
	bool steered;
	bool reclaimable_known;
	uint64_t seed;
	bool notified;
	uint64_t peak_bytes;
	uint64_t peak_live_bytes;
	uint64_t events_max;
	uint64_t crossed; /* how often a charge found the wall and nothing to take */
	uint64_t timeouts;
	uint64_t waits;
	uint64_t waited_ms;
	uint64_t releases[LEVELS];
	uint64_t returned_bytes;
	uint64_t steps;
	struct {
		bool under_way;
		size_t heap; /* HEAPS = all */
		uint64_t left_bytes;
		uint64_t got_bytes;
		uint64_t until_ms;
	} reclaim;
	uint64_t reclaims;
	uint64_t brakes;
	uint64_t expired; /* brakes that the deadline took off */
	uint64_t wish_bytes;
	uint64_t rounds;         /* of work */
	uint64_t behind_ms;      /* heap-milliseconds spent short of what was wanted */
	unsigned changes[HEAPS]; /* of level */
} world;

static inline uint64_t charged_bytes(const struct heap *heap)
{
	return heap->live_bytes - heap->to_charge_bytes + heap->dirty_bytes + heap->lazy_kept_bytes;
}

static inline uint64_t usage_bytes(void)
{
	uint64_t bytes = BASE_BYTES + world.slab_bytes;
	for (size_t i = 0; i < HEAPS; i++)
		bytes += charged_bytes(&world.heap[i]);
	return bytes;
}

static inline bool is_odd(const struct heap *heap, int odd)
{
	return (world.odds & odd) != 0 && heap == &world.heap[HEAPS - 1];
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A trapezoid: up, stay, down, rest. */
static inline uint64_t wanted_live_bytes(size_t i, uint64_t now_ms)
{
	uint64_t at = (now_ms * 2000 / world.period_ms + i * 500) % 2000;
	uint64_t part = 0;
	if (at < 300)
		part = at * 1000 / 300;
	else if (at < 700)
		part = 1000;
	else if (at < 900)
		part = (900 - at) * 1000 / 200;
	return 10 * MIB + 110 * MIB * part / 1000;
}

/* Builds WORK_BYTES step by step, frees them, and begins again: slower where it waits or faults. */
static inline uint64_t worked_live_bytes(struct heap *heap)
{
	if (heap->live_bytes == 0)
		heap->frees = false;
	if (!heap->frees && heap->live_bytes >= WORK_BYTES && heap->to_charge_bytes == 0) {
		heap->frees = true;
		world.rounds++;
	}
	return heap->frees ? 0 : least(WORK_BYTES, heap->live_bytes + WORK_BYTES_PER_MS);
}

static inline uint64_t lazy_take(struct heap *heap, uint64_t bytes)
{
	uint64_t taken = least(bytes, heap->lazy_kept_bytes);
	heap->lazy_kept_bytes -= taken;
	return taken;
}

/* What a heap may populate in this ms. */
static inline uint64_t high_allows(struct heap *heap)
{
	uint64_t bytes = least(heap->to_charge_bytes, world.speed.populate_bytes_per_ms);
	uint64_t used_bytes = charged_bytes(heap) + bytes;
	if (bytes == 0 || used_bytes <= heap->high_bytes)
		return bytes;
	heap->events_high++;
	uint64_t over_bytes = used_bytes - heap->high_bytes;
	if (lazy_take(heap, over_bytes) == over_bytes)
		return bytes;
	uint64_t over_permille = over_bytes * 1000 / heap->high_bytes + 1;
	return least(bytes, PENALISED_BYTES_PER_MS / (over_permille * over_permille));
}

/* The kernel: at the wall it takes its caches and lazily freed pages, whoever they belong to. */
static inline void heap_charge(struct heap *heap)
{
	uint64_t bytes = least(heap->to_charge_bytes, high_allows(heap));
	uint64_t used_bytes = usage_bytes();
	uint64_t credited_bytes = least(bytes, heap->credited_bytes);
	heap->to_charge_bytes -= bytes;
	heap->credited_bytes -= credited_bytes;
	heap->populated_bytes += (world.odds & SILENT) != 0 ? 0 : credited_bytes;
	world.crossed += charged_bytes(heap) > world.own_wall_bytes[heap - world.heap] ? 1 : 0;
	if (used_bytes + bytes <= world.wall_bytes)
		return;
	uint64_t over_bytes = used_bytes + bytes - world.wall_bytes;
	uint64_t slab_bytes = least(over_bytes, world.slab_bytes);
	world.slab_bytes -= slab_bytes;
	over_bytes -= slab_bytes;
	world.events_max++;
	for (size_t i = 0; i < HEAPS; i++)
		over_bytes -= lazy_take(&world.heap[i], over_bytes);
	world.crossed += over_bytes > 0 ? 1 : 0;
}

static inline uint64_t heap_give(struct heap *heap, enum level level, uint64_t bytes)
{
	uint64_t dirty = least(heap->dirty_bytes, bytes);
	heap->dirty_bytes -= dirty;
	heap->released_bytes += dirty;
	if (level == LEVEL_LAZY) {
		heap->lazy_bytes += dirty;
		heap->lazy_kept_bytes += dirty;
		return dirty;
	}
	heap->gone_bytes += dirty;
	uint64_t lazy = least(heap->lazy_bytes, bytes - dirty);
	heap->lazy_bytes -= lazy;
	heap->lazy_kept_bytes = least(heap->lazy_kept_bytes, heap->lazy_bytes);
	heap->released_bytes += lazy;
	heap->gone_bytes += lazy;
	return dirty + lazy;
}

static inline void heap_answer(struct heap *heap, uint64_t now_ms)
{
	if (heap->asked == LEVEL_CALM || now_ms < heap->answers_ms || is_odd(heap, MUTE))
		return;
	if (is_odd(heap, LIAR)) {
		heap->released_bytes += least(heap->target_bytes, 50 * MIB);
		heap->asked = LEVEL_CALM;
		world.notified = true;
		return;
	}
	uint64_t bytes = least(heap->target_bytes, RELEASE_BYTES_PER_MS);
	uint64_t given = heap_give(heap, heap->asked, bytes);
	world.returned_bytes += given;
	heap->target_bytes -= heap->target_bytes == UINT64_MAX ? 0 : given;
	if (given == bytes && heap->target_bytes > 0)
		return;
	heap->asked = LEVEL_CALM;
	world.notified = true;
}

/* Grows by need in fresh pages: credit, own idle bytes, credit again, waiting, anyway. */
static inline bool heap_pay(struct heap *heap, uint64_t need, uint64_t now_ms)
{
	if (!world.steered || is_odd(heap, STRANGER))
		return true;
	if (heap->wants_bytes == 0 && heap->credit_bytes < need) {
		uint64_t given = heap_give(heap, LEVEL_EAGER, need);
		if (given == need)
			return true;
		heap->credit_bytes += heap->credit_bytes == UINT64_MAX ? 0 : given;
	}
	if (heap->credit_bytes >= need) {
		heap->credit_bytes -= heap->credit_bytes == UINT64_MAX ? 0 : need;
		heap->credited_bytes += need;
		heap->wants_bytes = 0;
		return true;
	}
	if (heap->wants_bytes == 0) {
		heap->waits_since_ms = now_ms;
		heap->wants_bytes = need;
		world.notified = true;
		world.waits++;
	}
	world.waited_ms++;
	if (now_ms - heap->waits_since_ms < fixture_policy.gate_wait_ms)
		return false;
	world.timeouts++;
	heap->credit_bytes = 0;
	heap->wants_bytes = 0;
	return true;
}

static inline void heap_live(struct heap *heap, uint64_t wanted_bytes, uint64_t now_ms)
{
	if (wanted_bytes <= heap->live_bytes) {
		uint64_t freed = least(
			heap->live_bytes - wanted_bytes, heap->live_bytes - heap->to_charge_bytes);
		heap->live_bytes -= freed;
		heap->dirty_bytes += is_odd(heap, STRANGER) || (world.odds & ENDS) != 0 ? 0 : freed;
		heap->wants_bytes = 0;
		return;
	}
	uint64_t more = wanted_bytes - heap->live_bytes;
	uint64_t idle = heap->dirty_bytes + heap->lazy_bytes;
	uint64_t reuse = least(more, idle > UNFIT_BYTES ? idle - UNFIT_BYTES : 0);
	uint64_t dirty = least(reuse, heap->dirty_bytes);
	uint64_t lazy = reuse - dirty;
	/* Lazy pages that the kernel took are faulted in again, without asking. */
	uint64_t gone = least(lazy, heap->lazy_bytes - heap->lazy_kept_bytes);
	heap->dirty_bytes -= dirty;
	heap->lazy_bytes -= lazy;
	heap->lazy_kept_bytes -= lazy - gone;
	heap->to_charge_bytes += gone;
	heap->live_bytes += reuse;
	more -= reuse;
	if (more == 0 || heap->to_charge_bytes > 0)
		return; /* populates what it took first */
	uint64_t need =
		heap->wants_bytes > 0
			? heap->wants_bytes
			: least(more,
				  fixture_random(&world.seed) % world.speed.need_bytes_max + 4096);
	if (heap_pay(heap, need, now_ms)) {
		heap->live_bytes += need;
		heap->to_charge_bytes += need;
	}
}

static inline uint64_t wanted_bytes_of(size_t i, uint64_t now_ms)
{
	if ((world.odds & WISHER) == 0)
		return wanted_live_bytes(i, now_ms);
	return i == 0 ? worked_live_bytes(&world.heap[0]) : 0;
}

static inline void heaps_tick(uint64_t now_ms)
{
	uint64_t live_bytes = BASE_BYTES;
	for (size_t i = 0; i < HEAPS; i++) {
		struct heap *heap = &world.heap[i];
		uint64_t wanted_bytes = wanted_bytes_of(i, now_ms);
		heap_live(heap, wanted_bytes, now_ms);
		heap_charge(heap);
		heap_answer(heap, now_ms);
		world.behind_ms += heap->live_bytes + 8 * MIB < wanted_bytes ? 1 : 0;
		live_bytes += heap->live_bytes;
	}
	uint64_t used_bytes = usage_bytes();
	if (used_bytes > world.peak_bytes)
		world.peak_bytes = used_bytes;
	if (live_bytes > world.peak_live_bytes)
		world.peak_live_bytes = live_bytes;
}

static inline void sample_take(void)
{
	uint64_t kept_bytes = 0;
	for (size_t i = 0; i < HEAPS; i++) {
		const struct heap *heap = &world.heap[i];
		struct service_sample *service = &fixture.service[i].sample;
		service->current_bytes = (world.odds & ENDS) != 0 ? 0 : charged_bytes(heap);
		service->own.current_bytes = service->current_bytes;
		service->own.limit_bytes = world.own_wall_bytes[i];
		if (i == 0 && world.lowered.moving)
			service->own.limit_bytes = world.lowered.target_bytes;
		service->own.reclaimable_known = world.reclaimable_known;
		service->own.reclaimable_bytes = heap->lazy_kept_bytes;
		service->own.cache_bytes = heap->lazy_kept_bytes;
		service->heap = (struct heap_sample){
			.processes = 1,
			.in_use_bytes = heap->live_bytes,
			.idle_dirty_bytes = heap->dirty_bytes + (is_odd(heap, LIAR) ? 50 * MIB : 0),
			.lazy_bytes = heap->lazy_bytes,
			.released_bytes = heap->released_bytes,
			.gone_bytes = heap->gone_bytes,
			.wants_bytes = is_odd(heap, WISHER) ? world.wish_bytes : heap->wants_bytes,
			.credit_left_bytes = heap->credit_bytes,
			.populated_bytes = heap->populated_bytes,
			.answered = heap->asked == LEVEL_CALM,
		};
		if (is_odd(heap, STRANGER))
			service->heap = (struct heap_sample){.answered = true};
		service->events.known = true;
		service->events.high = heap->events_high;
		kept_bytes += heap->lazy_kept_bytes;
	}
	fixture.sample.reclaim.under_way = world.reclaim.under_way;
	fixture.sample.reclaim.got_bytes = world.reclaim.got_bytes;
	fixture.sample.shared.limit_bytes = world.wall_bytes;
	fixture.sample.shared.current_bytes = usage_bytes();
	fixture.sample.shared.reclaimable_known = world.reclaimable_known;
	fixture.sample.shared.reclaimable_bytes = kept_bytes + world.slab_bytes;
	fixture.sample.shared.cache_bytes = kept_bytes + world.slab_bytes;
	fixture.sample.shared_events.known = true;
	fixture.sample.shared_events.max = world.events_max;
}

static inline void action_perform(const struct action *action, uint64_t now_ms)
{
	struct heap *heap = &world.heap[action->service];
	switch (action->kind) {
	case ACTION_LEVEL:
		world.changes[action->service]++;
		break;
	case ACTION_RELEASE:
		world.releases[action->level]++;
		heap->asked = is_odd(heap, STRANGER) ? LEVEL_CALM : action->level;
		heap->target_bytes = action->target_bytes;
		heap->answers_ms = now_ms + world.speed.answer_ms;
		break;
	case ACTION_BRAKE:
		world.brakes++;
		heap->high_bytes = action->high_bytes;
		heap->high_until_ms = action->until_ms;
		break;
	case ACTION_UNBRAKE:
		heap->high_bytes = UINT64_MAX;
		break;
	case ACTION_RECLAIM:
		world.reclaims++;
		world.reclaim.under_way = true;
		world.reclaim.heap = action->all ? HEAPS : action->service;
		world.reclaim.left_bytes = action->target_bytes;
		world.reclaim.got_bytes = 0;
		world.reclaim.until_ms = action->until_ms;
		break;
	case ACTION_FREEZE:
	case ACTION_THAW:
	case ACTION_CONCLUDE:
	case ACTION_END:
	case ACTIONS:
		break;
	}
}

static inline void plan_perform(uint64_t now_ms)
{
	for (size_t i = 0; i < HEAPS; i++) {
		struct heap *heap = &world.heap[i];
		uint64_t left = fixture.service[i].sample.heap.credit_left_bytes;
		uint64_t credit = fixture.service[i].plan.credit_bytes;
		uint64_t taken = left > heap->credit_bytes ? left - heap->credit_bytes : 0;
		heap->credit_bytes = credit > taken ? credit - taken : 0;
	}
	for (size_t a = 0; a < fixture.plan.count; a++) {
		const struct action *action = &fixture.plan.action[a];
		action_perform(action, now_ms);
	}
}

static inline void walls_tick(uint64_t now_ms)
{
	if ((world.odds & SLAB) != 0 && usage_bytes() + SLAB_BYTES_PER_MS < world.wall_bytes)
		world.slab_bytes += SLAB_BYTES_PER_MS;
	if ((world.odds & LIVE_WALL) == 0)
		return;
	if (now_ms == LOWERED_MS && !limit_aim(&world.lowered, OWN_WALL_BYTES))
		world.notified = true;
	if (now_ms == RAISED_MS)
		world.wall_bytes += 64 * MIB;
	enum limit_change change =
		limit_step(&world.lowered, charged_bytes(&world.heap[0]), now_ms);
	if (change == LIMIT_WRITE || change == LIMIT_REACHED)
		world.own_wall_bytes[0] = world.lowered.written_bytes;
}

static inline void brakes_tick(uint64_t now_ms)
{
	for (size_t i = 0; i < HEAPS; i++) {
		struct heap *heap = &world.heap[i];
		if (heap->high_bytes == UINT64_MAX || now_ms < heap->high_until_ms)
			continue;
		heap->high_bytes = UINT64_MAX;
		world.expired++;
	}
}

/* The thread that writes memory.reclaim. */
static inline void reclaim_tick(uint64_t now_ms)
{
	uint64_t piece_bytes = least(world.reclaim.left_bytes, RECLAIM_BYTES_PER_MS);
	uint64_t got_bytes = 0;
	if (!world.reclaim.under_way)
		return;
	if (world.reclaim.heap == HEAPS) {
		got_bytes = least(piece_bytes, world.slab_bytes);
		world.slab_bytes -= got_bytes;
	}
	for (size_t i = 0; i < HEAPS; i++)
		if (world.reclaim.heap == HEAPS || world.reclaim.heap == i)
			got_bytes += lazy_take(&world.heap[i], piece_bytes - got_bytes);
	world.reclaim.left_bytes -= got_bytes;
	world.reclaim.got_bytes += got_bytes;
	if (world.reclaim.left_bytes > 0 && got_bytes == piece_bytes &&
		now_ms < world.reclaim.until_ms)
		return;
	world.reclaim.under_way = false;
}

static inline void world_tick(uint64_t now_ms)
{
	walls_tick(now_ms);
	brakes_tick(now_ms);
	reclaim_tick(now_ms);
	heaps_tick(now_ms);
}

static inline void world_begin(uint64_t period_ms, const struct speed *speed, int odds)
{
	memset(&world, 0, sizeof world);
	world.speed = *speed;
	world.period_ms = period_ms;
	world.run_ms = RUN_MS;
	world.odds = odds;
	world.seed = 88172645463325252U + period_ms;
	/* What the odd one keeps is no room. */
	world.wall_bytes = WALL_BYTES + ((odds & (LIAR | MUTE)) != 0 ? 120 * MIB : 0);
	world.wall_bytes -= (odds & TIGHT) != 0 ? TIGHTER_BYTES : 0;
	for (size_t i = 0; i < HEAPS; i++)
		world.own_wall_bytes[i] =
			(odds & OWN_WALLS) != 0 ? OWN_WALL_BYTES : SAMPLE_NO_LIMIT;
	if ((odds & LIVE_WALL) != 0)
		world.own_wall_bytes[0] = WALL_BYTES;
	world.lowered.written_bytes = world.own_wall_bytes[0];
	fixture_start(HEAPS, world.wall_bytes);
	fixture.sample.reclaim.possible = (odds & RECLAIM) != 0;
	for (size_t i = 0; i < HEAPS; i++) {
		world.heap[i].high_bytes = UINT64_MAX;
		fixture.service[i].sample.can_brake = (odds & BRAKE) != 0;
	}
}

/* timed: time to wall counts; without it the lazy level has its turn. */
static inline void world_run(bool steered, bool reclaimable_known, bool timed)
{
	world.steered = steered;
	world.reclaimable_known = reclaimable_known;
	for (enum level level = LEVEL_LAZY; level < LEVELS && !timed; level++)
		fixture.policies[0].at[level].time_to_wall_ms = 0;
	uint64_t next_ms = 0;
	for (uint64_t now_ms = 1; now_ms < world.run_ms; now_ms++) {
		world_tick(now_ms);
		if (!steered || (now_ms < next_ms && !world.notified))
			continue;
		world.notified = false;
		sample_take();
		policy_step(&fixture.state, &fixture.sample, now_ms, &fixture.plan);
		world.steps++;
		next_ms = now_ms + fixture.plan.next_ms;
		for (uint64_t n = 0; n < world.speed.perform_ms; n++)
			world_tick(++now_ms);
		plan_perform(now_ms);
	}
}

static inline void world_print(void)
{
	print_message("# period %llu ms: peak %llu MiB, live %llu MiB, %llu steps, %llu waits of "
		      "%llu ms, %llu timeouts, %llu ms behind, releases %llu/%llu/%llu, %llu MiB "
		      "returned, max events %llu, crossed %llu, %llu brakes, %llu reclaims, "
		      "%u %u %u %u changes\n",
		(unsigned long long)world.period_ms, (unsigned long long)(world.peak_bytes / MIB),
		(unsigned long long)(world.peak_live_bytes / MIB), (unsigned long long)world.steps,
		(unsigned long long)world.waits, (unsigned long long)world.waited_ms,
		(unsigned long long)world.timeouts, (unsigned long long)world.behind_ms,
		(unsigned long long)world.releases[LEVEL_LAZY],
		(unsigned long long)world.releases[LEVEL_EAGER],
		(unsigned long long)world.releases[LEVEL_FULL],
		(unsigned long long)(world.returned_bytes / MIB),
		(unsigned long long)world.events_max, (unsigned long long)world.crossed,
		(unsigned long long)world.brakes, (unsigned long long)world.reclaims,
		world.changes[0], world.changes[1], world.changes[2], world.changes[3]);
}

#endif
