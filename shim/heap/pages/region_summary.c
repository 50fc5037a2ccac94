/* Summaries of a region's chunks: keeps them up to date and checks them; what reads them is in
 * region.c and region_hunt.c. */

#include "shim/heap/pages/region_summary.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"

#include <string.h>

static void summary_set(struct summary *summary, enum run_kind kind, struct bits_runs runs)
{
	summary->start[kind] = runs.start;
	summary->max[kind] = runs.max;
	summary->end[kind] = runs.end;
}

static struct summary chunk_summary(const struct chunk *chunk)
{
	uint64_t any[CHUNK_WORDS];
	uint64_t warm[CHUNK_WORDS];
	uint64_t lazy[CHUNK_WORDS];
	struct summary summary = {.dirty = 0};
	struct bits_runs runs;
	uint64_t all_warm = 0;
	uint64_t all_cold = 0;
	uint64_t all_lazy = 0;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		any[i] = ~chunk->allocated[i];
		warm[i] = any[i] & ~chunk->clean[i];
		all_warm |= warm[i];
		all_cold |= any[i] ^ warm[i];
		summary.dirty += bits_count(warm[i]);
		lazy[i] = warm[i] & chunk->lazy[i];
		all_lazy |= lazy[i];
	}
	for (size_t i = 0; i < CHUNK_WORDS && all_lazy != 0; i++)
		summary.lazy += bits_count(lazy[i]);
	summary.dirty -= summary.lazy;
	if ((all_warm | all_cold) == 0)
		return summary;
	runs = bits_runs_of(any, CHUNK_WORDS);
	summary_set(&summary, RUN_ANY, runs);
	if (all_warm != 0)
		summary_set(
			&summary, RUN_WARM, all_cold != 0 ? bits_runs_of(warm, CHUNK_WORDS) : runs);
	return summary;
}

/* What a chunk's ages are for its size alone, by kind. */
struct chunk_ranks {
	uint32_t of[IDLE_KINDS];
};

/* When the word with the oldest pages of a chunk was last freed; there are no lazy ones. */
static uint64_t oldest_dirty_ns(const struct chunk *chunk)
{
	uint64_t oldest_ns = UINT64_MAX;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t taken = chunk->allocated[i] | chunk->clean[i];
		uint64_t since_ns = taken == UINT64_MAX ? UINT64_MAX : chunk->idle_since_ns[i];

		oldest_ns = since_ns < oldest_ns ? since_ns : oldest_ns;
	}
	return oldest_ns;
}

static struct chunk_ranks mixed_ranks(const struct chunk *chunk, const struct summary *summary)
{
	uint64_t dirty_ns = UINT64_MAX;
	uint64_t lazy_ns = UINT64_MAX;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t warm = ~(chunk->allocated[i] | chunk->clean[i]);
		uint64_t since_ns = chunk->idle_since_ns[i];

		if ((warm & ~chunk->lazy[i]) != 0 && since_ns < dirty_ns)
			dirty_ns = since_ns;
		if ((warm & chunk->lazy[i]) != 0 && since_ns < lazy_ns)
			lazy_ns = since_ns;
	}
	return (struct chunk_ranks){
		.of = {[IDLE_DIRTY] = summary->dirty != 0 ? idle_rank(dirty_ns) : 0,
			[IDLE_LAZY] = summary->lazy != 0 ? idle_rank(lazy_ns) : 0}};
}

static struct chunk_ranks chunk_ranks(const struct chunk *chunk, const struct summary *summary)
{
	bool free = summary->start[RUN_ANY] == CHUNK_PAGES;

	if (summary->dirty + summary->lazy == 0 || (chunk->huge != 0 && !free))
		return (struct chunk_ranks){0};
	if (summary->lazy != 0)
		return mixed_ranks(chunk, summary);
	return (struct chunk_ranks){.of = {[IDLE_DIRTY] = idle_rank(oldest_dirty_ns(chunk))}};
}

/* The runs of one kind over eight nodes of so many pages, into the one above them. */
static void node_runs(
	struct summary *over, const struct summary *under, size_t pages, enum run_kind kind)
{
	uint32_t run = 0;
	uint32_t max = 0;
	bool whole = true;

	for (size_t i = 0; i < REGION_FAN; i++) {
		const struct summary *one = &under[i];

		run += one->start[kind];
		if (one->start[kind] == pages)
			continue;
		if (whole)
			over->start[kind] = run;
		whole = false;
		max = run > max ? run : max;
		max = one->max[kind] > max ? one->max[kind] : max;
		run = one->end[kind];
	}
	if (whole)
		over->start[kind] = run;
	over->max[kind] = run > max ? run : max;
	over->end[kind] = run;
}

static bool runs_differ(const struct summary *a, const struct summary *b, enum run_kind kind)
{
	return a->start[kind] != b->start[kind] || a->max[kind] != b->max[kind] ||
	       a->end[kind] != b->end[kind];
}

static uint32_t oldest_of(const struct idle_ages *under, unsigned index)
{
	uint32_t oldest = 0;

	for (size_t i = 0; i < REGION_FAN; i++) {
		uint32_t rank = under[i].oldest[index];

		oldest = rank > oldest ? rank : oldest;
	}
	return oldest;
}

/* The ages that change in a node are some of those that did under it. */
static uint32_t node_ages(struct idle_ages *over, const struct idle_ages *under, uint32_t changed)
{
	uint32_t left = changed;

	for (uint32_t rest = changed; rest != 0; rest &= rest - 1) {
		unsigned index = bits_lowest(rest);
		uint32_t oldest = oldest_of(under, index);

		if (over->oldest[index] == oldest)
			left &= ~(rest & -rest);
		over->oldest[index] = oldest;
	}
	return left;
}

static void age_set(struct idle_ages *ages, unsigned index, uint32_t rank, uint32_t *changed)
{
	if (ages->oldest[index] == rank)
		return;
	ages->oldest[index] = rank;
	*changed |= (uint32_t)1 << index;
}

/* A chunk's ages are those of its size: it had one, and now has another or the same. */
static uint32_t chunk_ages(struct idle_ages *ages, const struct chunk *chunk,
	const struct summary *before, const struct summary *now)
{
	struct chunk_ranks ranks = chunk_ranks(chunk, now);
	enum run_class old_size = run_class_of(before->max[RUN_ANY]);
	enum run_class size = run_class_of(now->max[RUN_ANY]);
	uint32_t changed = 0;

	for (int kind = 0; kind < IDLE_KINDS; kind++) {
		if (old_size != size)
			age_set(ages, idle_index(old_size, kind), 0, &changed);
		age_set(ages, idle_index(size, kind), ranks.of[kind], &changed);
	}
	return changed;
}

/* What changed in a chunk that was like this adds to what changed in others. */
static void chunk_changed(struct region *region, size_t index, const struct summary *before,
	struct region_change *change)
{
	const struct summary *now = &region->levels[0][index];

	change->dirty += now->dirty - before->dirty;
	change->lazy += now->lazy - before->lazy;
	for (int kind = 0; kind < RUN_KINDS; kind++)
		change->runs[kind] |= runs_differ(now, before, kind);
	change->ages |= chunk_ages(&region->ages[0][index], &region->chunks[index], before, now);
}

/* Brings the node above some of its children up to date; leaves in *change what changed in it. */
static void node_update(struct region *region, int level, size_t node, struct region_change *change)
{
	struct summary *over = &region->levels[level][node];
	const struct summary *under = &region->levels[level - 1][node * REGION_FAN];
	struct summary before = *over;

	over->dirty += change->dirty;
	over->lazy += change->lazy;
	for (int kind = 0; kind < RUN_KINDS; kind++) {
		if (!change->runs[kind])
			continue;
		node_runs(over, under, region_node_pages(level - 1), kind);
		change->runs[kind] = runs_differ(over, &before, kind);
	}
	if (change->ages != 0)
		change->ages = node_ages(&region->ages[level][node],
			&region->ages[level - 1][node * REGION_FAN], change->ages);
}

/* Brings the nodes over some chunks of one node of level 1 up to date. */
static void climb(struct region *region, size_t chunk, struct region_change *change)
{
	for (int level = 1; level <= region->top; level++)
		node_update(region, level, chunk >> REGION_FAN_SHIFT * level, change);
}

/* The chunks first .. end - 1, all under one node of level 1, changed. */
static void chunks_update(struct region *region, size_t first, size_t end)
{
	struct region_change change = {.dirty = 0};

	for (size_t i = first; i < end; i++) {
		struct summary before = region->levels[0][i];

		region->levels[0][i] = chunk_summary(&region->chunks[i]);
		chunk_changed(region, i, &before, &change);
	}
	climb(region, first, &change);
}

/* A node's summary and ages by those under it. */
static void node_whole(const struct region *region, int level, size_t node, struct summary *over,
	struct idle_ages *ages)
{
	const struct summary *under = &region->levels[level - 1][node * REGION_FAN];

	*over = (struct summary){.dirty = 0};
	for (size_t i = 0; i < REGION_FAN; i++) {
		over->dirty += under[i].dirty;
		over->lazy += under[i].lazy;
	}
	for (int kind = 0; kind < RUN_KINDS; kind++)
		node_runs(over, under, region_node_pages(level - 1), kind);
	for (unsigned i = 0; i < IDLE_AGES; i++)
		ages->oldest[i] = oldest_of(&region->ages[level - 1][node * REGION_FAN], i);
}

static bool node_is_right(const struct region *region, int level, size_t node)
{
	struct summary now;
	struct idle_ages ages;

	node_whole(region, level, node, &now, &ages);
	return memcmp(&now, &region->levels[level][node], sizeof now) == 0 &&
	       memcmp(&ages, &region->ages[level][node], sizeof ages) == 0;
}

void region_summarize_grown(struct region *region, size_t page, size_t pages)
{
	while (region->top < REGION_TOP && region_nodes(region->committed, region->top) > 1) {
		int level = ++region->top;
		struct summary *over = &region->levels[level][0];
		struct idle_ages *ages = &region->ages[level][0];

		node_whole(region, level, 0, over, ages);
	}
	region_summarize(region, page, pages);
}

void region_summarize(struct region *region, size_t page, size_t pages)
{
	size_t end = (page + pages - 1) / CHUNK_PAGES + 1;
	size_t first = page / CHUNK_PAGES;

	while (first < end) {
		size_t stop = (first | (REGION_FAN - 1)) + 1;

		stop = stop < end ? stop : end;
		chunks_update(region, first, stop);
		first = stop;
	}
}

/* Adjusting ------------------------------------------------------------- */

/* ends: the bits of the pages that are in no run of this kind. */
static void chunk_runs(struct summary *summary, enum run_kind kind, const uint64_t *ends)
{
	uint64_t free[CHUNK_WORDS];

	for (size_t i = 0; i < CHUNK_WORDS; i++)
		free[i] = ~ends[i];
	summary_set(summary, kind, bits_runs_of(free, CHUNK_WORDS));
}

/* The pages first .. end - 1 of a chunk, all of this kind, came to its free ones, or were some. */
static void adjust_runs(struct summary *summary, enum run_kind kind, const uint64_t *ends,
	size_t first, size_t end, bool given)
{
	uint32_t low = (uint32_t)bits_end_before(ends, first, true);
	uint32_t high = (uint32_t)bits_next(ends, end, CHUNK_PAGES, true);

	if (!given && high - low == summary->max[kind]) {
		chunk_runs(summary, kind, ends);
		return;
	}
	if (low == 0)
		summary->start[kind] = given ? high : (uint32_t)first;
	if (high == CHUNK_PAGES)
		summary->end[kind] = CHUNK_PAGES - (given ? low : (uint32_t)end);
	if (given && high - low > summary->max[kind])
		summary->max[kind] = high - low;
}

/* The same for warm runs, where not all of the pages need be warm. */
static void adjust_warm(struct summary *summary, const struct chunk *chunk, size_t first,
	size_t end, bool given, size_t warm)
{
	uint64_t ends[CHUNK_WORDS];
	uint64_t cold = 0;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		ends[i] = chunk->allocated[i] | chunk->clean[i];
		cold |= ends[i] ^ chunk->allocated[i];
	}
	if (cold == 0)
		summary_set(summary, RUN_WARM,
			(struct bits_runs){.start = summary->start[RUN_ANY],
				.max = summary->max[RUN_ANY],
				.end = summary->end[RUN_ANY]});
	else if (warm == end - first)
		adjust_runs(summary, RUN_WARM, ends, first, end, given);
	else if (warm != 0)
		chunk_runs(summary, RUN_WARM, ends);
}

static void adjust_chunk(struct summary *summary, const struct chunk *chunk, size_t first,
	size_t end, bool given, const struct page_counts *counts)
{
	uint32_t sign = given ? 1 : UINT32_MAX; /* modulo 2^32 */

	if (!given && end - first == CHUNK_PAGES) {
		*summary = (struct summary){.dirty = 0};
		return;
	}
	summary->dirty += (uint32_t)counts->dirty * sign;
	summary->lazy += (uint32_t)counts->lazy * sign;
	adjust_runs(summary, RUN_ANY, chunk->allocated, first, end, given);
	adjust_warm(summary, chunk, first, end, given, counts->dirty + counts->lazy);
}

#ifdef __SANITIZE_ADDRESS__
static void *chunk_start(const struct region *region, size_t index)
{
	return (void *)region_address(region, index * CHUNK_PAGES);
}

static void chunk_compare(const struct region *region, size_t index)
{
	struct summary now = chunk_summary(&region->chunks[index]);

	if (memcmp(&now, &region->levels[0][index], sizeof now) != 0)
		os_panic("a chunk's summary differs from its bits", chunk_start(region, index));
}

static void nodes_compare(const struct region *region, size_t chunk)
{
	for (int level = 1; level <= region->top; level++)
		if (!node_is_right(region, level, chunk >> REGION_FAN_SHIFT * level))
			os_panic("a summary differs from those under it",
				chunk_start(region, chunk));
}
#else
static void chunk_compare(const struct region *region, size_t index)
{
	(void)region;
	(void)index;
}

static void nodes_compare(const struct region *region, size_t chunk)
{
	(void)region;
	(void)chunk;
}
#endif

static void adjust(struct region *region, size_t page, size_t end, bool given,
	const struct page_counts *counts, struct region_change *change)
{
	size_t index = page / CHUNK_PAGES;
	size_t base = index * CHUNK_PAGES;
	struct summary before = region->levels[0][index];

	adjust_chunk(&region->levels[0][index], &region->chunks[index], page - base, end - base,
		given, counts);
	chunk_changed(region, index, &before, change);
	chunk_compare(region, index);
}

void region_adjust_taken(struct region *region, size_t page, size_t end,
	const struct page_counts *counts, struct region_change *change)
{
	adjust(region, page, end, false, counts, change);
}

void region_adjust_given(struct region *region, size_t page, size_t end,
	const struct page_counts *counts, struct region_change *change)
{
	adjust(region, page, end, true, counts, change);
}

void region_adjusted(struct region *region, size_t page, struct region_change *change)
{
	climb(region, page / CHUNK_PAGES, change);
	nodes_compare(region, page / CHUNK_PAGES);
	*change = (struct region_change){.dirty = 0};
}

/* Checking -------------------------------------------------------------- */

const char *region_check_summaries(const struct region *region)
{
	size_t chunks = region_chunks(region->committed);

	for (size_t i = 0; i < chunks; i++) {
		struct summary now = chunk_summary(&region->chunks[i]);
		struct summary none = {.dirty = 0};
		struct idle_ages ages = {0};

		chunk_ages(&ages, &region->chunks[i], &none, &now);
		if (memcmp(&now, &region->levels[0][i], sizeof now) != 0)
			return "a chunk's summary differs from its bits";
		if (memcmp(&ages, &region->ages[0][i], sizeof ages) != 0)
			return "a chunk's ages differ from its words'";
	}
	for (int level = 1; level <= region->top; level++)
		for (size_t i = 0; i < region_nodes(region->committed, level); i++)
			if (!node_is_right(region, level, i))
				return "a summary differs from those under it";
	return NULL;
}

const char *region_check(const struct region *region, struct page_counts *counts, size_t *allocated)
{
	const char *wrong = region_check_summaries(region);

	if (wrong != NULL)
		return wrong;
	for (size_t at = 0; at < region->committed; at += 64) {
		const struct chunk *chunk = region_chunk(region, at);
		size_t word = at % CHUNK_PAGES / 64;
		uint64_t taken = chunk->allocated[word];
		uint64_t lazy = chunk->lazy[word];
		uint64_t clean = chunk->clean[word];

		if ((taken & (lazy | clean)) != 0)
			return "an allocated page has an idle state";
		if (chunk->huge != 0 && clean != 0)
			return "a huge chunk has pages that are not resident";
		*allocated += bits_count(taken);
		counts->dirty += bits_count(~taken & ~lazy & ~clean);
		counts->lazy += bits_count(lazy & ~clean);
		counts->clean += bits_count(clean);
		counts->fresh += bits_count(clean & lazy);
	}
	return NULL;
}
