/* One bounded pass of giving back, at a level. */
#include "shim/heap/scavenge/scavenge.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/scavenge/chunk_maps.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/heap/scavenge/page_hunt.h"
#include "shim/heap/scavenge/scavenge_costs.h"
#include "shim/heap/slabs/central.h"
#include "shim/heap/slabs/holes.h"

#include <stdatomic.h>

#define RUN_BYTES_PREFERRED ((size_t)64 << 10)

/* Free pages of records that stay where not all is wanted: those of some 30 MiB of small blocks. */
#define RECORD_PAGES_KEPT 64U

/* Looks (page_hunt.h) of a pass that nobody asked for: in the background they take about as long as
 * its advice, in a thread that allocates they are fewer. */
#define PASS_LOOKS ((size_t)8 * PAGE_HUNT_LOOKS)
#define GROWTH_LOOKS ((size_t)2 * PAGE_HUNT_LOOKS)

static struct {
	_Atomic uint64_t released_bytes[HEAP_CAUSES];
	_Atomic uint64_t advise_calls;
	_Atomic uint64_t advise_ns;
} account;

static _Atomic uint32_t passes;

/* The calling thread's own, which go on in the child of a fork in a signal handler. */
static __thread uint32_t mine;

static int advise_timed(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	uint64_t start_ns = os_cpu_ns();
	int error = os_advise(ranges, count, advice);

	atomic_fetch_add_explicit(&account.advise_calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&account.advise_ns, os_cpu_ns() - start_ns, memory_order_relaxed);
	return error;
}

/* Makes ranges not resident, which may be parts of huge pages: MADV_FREE splits these. */
static int advise_parts_away(const struct os_range *ranges, size_t count, bool parts)
{
	int error = parts ? advise_timed(ranges, count, OS_FREE) : 0;

	return error == 0 ? advise_timed(ranges, count, OS_DONTNEED) : error;
}

static int advise_away(void *with, const struct os_range *ranges, size_t count)
{
	(void)with;
	return advise_parts_away(ranges, count, huge_is_on());
}

/* Ranges in transit become lazy, or not resident. */
static int advise_hunted(const struct page_hunt *hunt, bool away)
{
	return away ? advise_parts_away(hunt->ranges, hunt->count, hunt->parts)
		    : advise_timed(hunt->ranges, hunt->count, OS_FREE);
}

static int advise_maps(const struct os_range *ranges, size_t count)
{
	return advise_timed(ranges, count, OS_DONTNEED);
}

/* What a fault costs, on pages that have just gone. */
static int measure_now_and_then(const struct page_hunt *hunt)
{
	if (hunt->uncommitted)
		return 0;
	if (hunt->huge_chunk != NULL && scavenge_costs_huge_due(os_now_ns()))
		return scavenge_costs_measure_huge(hunt->huge_chunk);
	/* A touch in a chunk of which nothing is left might bring all of it. */
	if (huge_is_on() && hunt->chunk_count != 0)
		return 0;
	for (size_t i = 0; i < hunt->count; i++)
		if (hunt->ranges[i].bytes >= SCAVENGE_MEASURE_BYTES)
			return scavenge_costs_due(os_now_ns())
				       ? scavenge_costs_measure(
						 hunt->ranges[i].start, SCAVENGE_MEASURE_BYTES)
				       : 0;
	return 0;
}

/* Whole chunks that are gone are not charged any longer, either. */
static void decommit_hunted(struct page_hunt *hunt)
{
	size_t end;

	for (size_t first = 0; first < hunt->chunk_count && hunt->may_decommit; first = end) {
		unsigned char *lowest = hunt->chunks[first];

		for (end = first + 1; end < hunt->chunk_count; end++, lowest -= CHUNK_BYTES)
			if (hunt->chunks[end] != lowest - CHUNK_BYTES)
				break;
		if (os_decommit(lowest, (end - first) * CHUNK_BYTES) == 0)
			hunt->away |= (unsigned)bits_mask(first, end);
	}
}

/* One batch.  False: nothing is left of this turn, or it cannot be done. */
static bool scavenge_batch(struct page_hunt *hunt, struct chunk_maps *maps, struct heap_pass *pass,
	enum heap_cause cause)
{
	bool away = pass->level >= HEAP_EAGER;
	uint32_t closes = huge_closes();
	uint64_t start_ns;
	bool done;

	if (!transit_begin()) {
		pass->more = true;
		return false;
	}
	if (!page_hunt(hunt)) {
		transit_end();
		return !hunt->done;
	}
	start_ns = os_cpu_ns();
	done = advise_hunted(hunt, away) == 0;
	if (done && (hunt->dirty_pages == 0 || hunt->lazy_pages == 0))
		scavenge_costs_note(away ? OS_DONTNEED : OS_FREE, hunt->dirty_pages == 0,
			hunt->dirty_pages + hunt->lazy_pages, hunt->count, os_cpu_ns() - start_ns);
	if (done && away && cause == HEAP_BACKGROUND)
		done = measure_now_and_then(hunt) == 0;
	if (done && away)
		decommit_hunted(hunt);
	page_hunt_end(hunt, !done ? PAGE_AS_BEFORE : away ? PAGE_CLEAN : PAGE_LAZY);
	huge_gave_back(closes);
	transit_end();
	if (done && away && !chunk_maps_note(maps, hunt))
		chunk_maps_release(maps, advise_maps);
	if (done && away)
		pass->clean_bytes += (hunt->dirty_pages + hunt->lazy_pages) * PAGE_BYTES;
	else if (done)
		pass->lazy_bytes += hunt->dirty_pages * PAGE_BYTES;
	return done && !hunt->done;
}

/* At calm, and when the heap grows, whole huge pages stay whole. */
static enum huge_break breaks_of(const struct heap_pass *pass, enum heap_cause cause)
{
	if (cause < HEAP_BY_LAZY || pass->level < HEAP_EAGER)
		return HUGE_KEEP;
	return pass->level == HEAP_FULL ? HUGE_BREAK : HUGE_BREAK_SPARSE;
}

static size_t looks_of(enum heap_cause cause)
{
	if (cause == HEAP_GROWTH)
		return GROWTH_LOOKS;
	return cause == HEAP_BACKGROUND ? PASS_LOOKS : SIZE_MAX;
}

/* One turn, from hunt->below on; false: it is not over, but the pass is, by bytes or by looks. */
static bool scavenge_turn(struct page_hunt *hunt, struct chunk_maps *maps, struct heap_pass *pass,
	enum heap_cause cause, size_t *looks)
{
	while (hunt->pages_max != 0 && *looks != 0) {
		bool more;

		hunt->looks = 0;
		hunt->transit_pages =
			cause < HEAP_BY_EAGER ? TRANSIT_PAGES_MAX : TRANSIT_PAGES_ASKED;
		more = scavenge_batch(hunt, maps, pass, cause);
		*looks -= hunt->looks < *looks ? hunt->looks : *looks;
		if (!more)
			return true;
	}
	return false;
}

static size_t scavenge_pages(struct heap_pass *pass, enum heap_cause cause)
{
	static const struct {
		size_t run_pages;
		bool breaks;
	} turns[] = {
		{CHUNK_PAGES, false},
		{RUN_BYTES_PREFERRED / PAGE_BYTES, false},
		{1, false},
		{RUN_BYTES_PREFERRED / PAGE_BYTES, true},
		{1, true},
	};
	enum huge_break breaks = breaks_of(pass, cause);
	size_t turn_count = breaks == HUGE_KEEP || !huge_is_on() ? 3 : 5;
	size_t looks = looks_of(cause);
	struct heap_place place = pass->place != NULL ? *pass->place : (struct heap_place){0};
	struct chunk_maps maps = {.count = 0};
	struct page_hunt hunt;

	hunt.dirty = true;
	hunt.lazy = pass->level >= HEAP_EAGER;
	hunt.idle_before_ns = pass->idle_before_ns;
	hunt.ages = pass->ages;
	hunt.cushion_pages = pass->level == HEAP_FULL ? 0 : pass->cushion_bytes / PAGE_BYTES;
	hunt.pages_max = pass->max_bytes / PAGE_BYTES;
	for (; place.turn < turn_count; place.turn++) {
		hunt.run_pages_min = turns[place.turn].run_pages;
		hunt.breaks = turns[place.turn].breaks ? breaks : HUGE_KEEP;
		hunt.below = place.below != 0 ? place.below : UINTPTR_MAX;
		if (!scavenge_turn(&hunt, &maps, pass, cause, &looks)) {
			place.below = hunt.below;
			break;
		}
		place.below = 0;
	}
	chunk_maps_release(&maps, advise_maps);
	place.tired = place.turn < turn_count && hunt.pages_max != 0;
	pass->more |= place.tired;
	if (pass->place != NULL)
		*pass->place = place.turn < turn_count ? place : (struct heap_place){0};
	return hunt.pages_max;
}

/* Slabs that went leave their records behind, which are not the blocks' bytes that are counted. */
static void give_records_back(struct heap_pass *pass)
{
	size_t most = pass->max_bytes / PAGE_BYTES;
	size_t keep = pass->level == HEAP_FULL ? 0 : RECORD_PAGES_KEPT;

	pass->more |= most != 0 && meta_give_back(keep, most) == most;
}

#define REQUEST_DRAINS 2U

static bool pass_drains(const struct heap_pass *pass, uint64_t slabs_before_ns)
{
	return slabs_before_ns != 0 && (pass->request == NULL || !pass->request->drained);
}

/* Empties caches and slabs. */
static void pass_drain(struct heap_request *request, uint64_t slabs_before_ns)
{
	cache_drain_all(slabs_before_ns);
	central_dissolve(slabs_before_ns);
	if (request != NULL) {
		request->drains++;
		request->drained = true;
		request->gone_bytes = 0;
	}
}

/* A pass of a request is over. */
static void request_note(struct heap_pass *pass)
{
	struct heap_request *request = pass->request;

	request->gone_bytes += pass->lazy_bytes + pass->clean_bytes;
	if (pass->more || !request->drained || request->gone_bytes == 0 ||
		request->drains >= REQUEST_DRAINS)
		return;
	request->drained = false;
	pass->more = true;
}

static void pass_run(struct heap_pass *pass, enum heap_cause cause)
{
	uint64_t slabs_before_ns =
		pass->level == HEAP_FULL ? UINT64_MAX : pass->slabs_idle_before_ns;
	size_t room_pages;

	if (cause >= HEAP_BY_LAZY)
		huge_look(os_now_ns());
	if (pass_drains(pass, slabs_before_ns))
		pass_drain(pass->request, slabs_before_ns);
	room_pages = scavenge_pages(pass, cause);
	pass->more |= room_pages == 0;
	if (pass->level >= HEAP_EAGER && slabs_before_ns != 0 && room_pages != 0 &&
		!pass->without_holes) {
		struct hole_wants wants = {
			.max_bytes = room_pages * PAGE_BYTES,
			.idle_before_ns = slabs_before_ns,
			.breaks = breaks_of(pass, cause),
			.asked = cause >= HEAP_BY_EAGER,
		};

		pass->more |= holes_make(advise_away, NULL, &wants, &pass->clean_bytes);
	}
	if (pass->level >= HEAP_EAGER)
		give_records_back(pass);
	if (pass->request != NULL)
		request_note(pass);
}

void scavenge_after_fork(void)
{
	atomic_store_explicit(&passes, mine, memory_order_relaxed);
}

void heap_scavenge(struct heap_pass *pass, enum heap_cause cause)
{
	bool others = atomic_fetch_add_explicit(&passes, 1, memory_order_relaxed) != 0;

	mine++;
	pass->lazy_bytes = 0;
	pass->clean_bytes = 0;
	pass->more = others && cause == HEAP_BACKGROUND;
	if (!pass->more)
		pass_run(pass, cause);
	else if (pass->place != NULL)
		pass->place->tired = false;
	mine--;
	atomic_fetch_sub_explicit(&passes, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&account.released_bytes[cause],
		pass->lazy_bytes + pass->clean_bytes, memory_order_relaxed);
}

void scavenge_stats(struct scavenge_stats *stats)
{
	for (int i = 0; i < HEAP_CAUSES; i++)
		stats->released_bytes[i] =
			atomic_load_explicit(&account.released_bytes[i], memory_order_relaxed);
	stats->advise_calls = atomic_load_explicit(&account.advise_calls, memory_order_relaxed);
	stats->advise_ns = atomic_load_explicit(&account.advise_ns, memory_order_relaxed);
}
