/* Summaries of a region's chunks: keeps them up to date and checks them; what reads them is in
 * region.c and region_hunt.c. */

#include "shim/heap/pages/region_summary.h"

#include "shim/heap/base/bits.h"

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

static struct chunk_ranks chunk_ranks(const struct chunk *chunk, const struct summary *summary)
{
	uint64_t dirty_ns = UINT64_MAX;
	uint64_t lazy_ns = UINT64_MAX;
	bool free = summary->start[RUN_ANY] == CHUNK_PAGES;

	if (summary->dirty + summary->lazy == 0 || (chunk->huge != 0 && !free))
		return (struct chunk_ranks){0};
	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t warm = ~(chunk->allocated[i] | chunk->clean[i]);
		uint64_t since_ns = chunk->idle_since_ns[i];

		if (warm == 0)
			continue;
		if ((warm & ~chunk->lazy[i]) != 0 && since_ns < dirty_ns)
			dirty_ns = since_ns;
		if ((warm & chunk->lazy[i]) != 0 && since_ns < lazy_ns)
			lazy_ns = since_ns;
	}
	return (struct chunk_ranks){
		.of = {[IDLE_DIRTY] = summary->dirty != 0 ? idle_rank(dirty_ns) : 0,
			[IDLE_LAZY] = summary->lazy != 0 ? idle_rank(lazy_ns) : 0}};
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

/* What changed in a summary: counts by difference, which kinds of runs, and which ages. */
struct change {
	uint32_t dirty; /* modulo 2^32 */
	uint32_t lazy;
	bool runs[RUN_KINDS];
	uint32_t ages; /* a bit for each */
};

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

/* Brings the node above some of its children up to date; leaves in *change what changed in it. */
static void node_update(struct region *region, int level, size_t node, struct change *change)
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

/* The chunks first .. end - 1, all under one node of level 1, changed. */
static void chunks_update(struct region *region, size_t first, size_t end)
{
	struct change change = {.dirty = 0};

	for (size_t i = first; i < end; i++) {
		struct summary *before = &region->levels[0][i];
		struct summary now = chunk_summary(&region->chunks[i]);

		change.dirty += now.dirty - before->dirty;
		change.lazy += now.lazy - before->lazy;
		for (int kind = 0; kind < RUN_KINDS; kind++)
			change.runs[kind] |= runs_differ(&now, before, kind);
		change.ages |= chunk_ages(&region->ages[0][i], &region->chunks[i], before, &now);
		*before = now;
	}
	for (int level = 1; level < REGION_LEVELS; level++)
		node_update(region, level, first >> REGION_FAN_SHIFT * level, &change);
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

/* Checking -------------------------------------------------------------- */

static bool node_is_right(const struct region *region, int level, size_t node)
{
	const struct summary *under = &region->levels[level - 1][node * REGION_FAN];
	struct summary now = {.dirty = 0};
	struct idle_ages ages = {0};

	for (size_t i = 0; i < REGION_FAN; i++) {
		now.dirty += under[i].dirty;
		now.lazy += under[i].lazy;
	}
	for (int kind = 0; kind < RUN_KINDS; kind++)
		node_runs(&now, under, region_node_pages(level - 1), kind);
	for (unsigned i = 0; i < IDLE_AGES; i++)
		ages.oldest[i] = oldest_of(&region->ages[level - 1][node * REGION_FAN], i);
	return memcmp(&now, &region->levels[level][node], sizeof now) == 0 &&
	       memcmp(&ages, &region->ages[level][node], sizeof ages) == 0;
}

const char *region_check(const struct region *region, struct page_counts *counts, size_t *allocated)
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
	for (int level = 1; level < REGION_LEVELS; level++)
		for (size_t i = 0; i < region_nodes(region->committed, level); i++)
			if (!node_is_right(region, level, i))
				return "a summary differs from those under it";
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
