#include "shim/heap/region.h"

#include "shim/heap/bits.h"

#include <string.h>

#define DIRTY_LOOKS_MAX 16U

/* Where the words of a range are: word_each visits each with the mask of the range in it. */
struct word_at {
	struct chunk *chunk;
	size_t index;
	uint64_t mask;
};

static struct word_at word_of(const struct region *region, size_t at, size_t end)
{
	return (struct word_at){
		.chunk = &region->chunks[at / CHUNK_PAGES],
		.index = at % CHUNK_PAGES / 64,
		.mask = bits_mask_in_word(at, end),
	};
}

static size_t word_next(size_t at)
{
	return (at | 63) + 1;
}

static size_t chunks_of(size_t pages)
{
	return pages / CHUNK_PAGES;
}

/* Nodes of a level over so many pages. */
static size_t nodes_of(size_t pages, int level)
{
	size_t under = (size_t)1 << REGION_FAN_SHIFT * level;

	return (chunks_of(pages) + under - 1) / under;
}

static size_t area_bytes(size_t count, size_t each)
{
	return round_up(count * each, PAGE_BYTES);
}

/* Whole eights, so that the last node's children can be read like any other's. */
static size_t level_bytes(size_t pages, int level)
{
	return area_bytes(round_up(nodes_of(pages, level), REGION_FAN), sizeof(struct summary));
}

size_t region_metadata_bytes(size_t pages)
{
	size_t bytes = area_bytes(chunks_of(pages), sizeof(struct chunk));

	for (int level = 0; level < REGION_LEVELS; level++)
		bytes += level_bytes(pages, level);
	return bytes;
}

size_t region_touched_bytes(size_t committed)
{
	return region_metadata_bytes(committed);
}

void region_init(struct region *region, void *start, size_t capacity, void *metadata)
{
	unsigned char *at = metadata;

	region->start = (uintptr_t)start;
	region->capacity = capacity;
	region->pages = 0;
	region->committed = 0;
	region->away = 0;
	for (int level = REGION_TOP; level >= 0; level--) {
		region->levels[level] = (void *)at;
		at += level_bytes(capacity, level);
	}
	region->chunks = (void *)at;
}

/* Summaries ------------------------------------------------------------- */

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

/* What changed in a summary: counts by difference, and which kinds of runs. */
struct change {
	uint32_t dirty; /* modulo 2^32 */
	uint32_t lazy;
	bool runs[RUN_KINDS];
};

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
		*before = now;
	}
	for (int level = 1; level < REGION_LEVELS; level++)
		node_update(region, level, first >> REGION_FAN_SHIFT * level, &change);
}

static void summaries_update(struct region *region, size_t page, size_t pages)
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

/* Finding --------------------------------------------------------------- */

/* A run that may go on in the next node. */
struct run {
	size_t first;
	size_t pages;
};

static void run_pass(
	struct run *run, const struct summary *over, enum run_kind kind, size_t base, size_t size)
{
	if (over->start[kind] == size) {
		if (run->pages == 0)
			run->first = base;
		run->pages += size;
	} else {
		run->pages = over->end[kind];
		run->first = base + size - run->pages;
	}
}

static size_t chunk_find(const struct chunk *chunk, enum run_kind kind, size_t pages)
{
	uint64_t bits[CHUNK_WORDS];

	for (size_t i = 0; i < CHUNK_WORDS; i++)
		bits[i] = ~chunk->allocated[i] & (kind == RUN_WARM ? ~chunk->clean[i] : UINT64_MAX);
	return bits_find_run(bits, CHUNK_PAGES, pages);
}

size_t region_find(const struct region *region, enum run_kind kind, size_t pages)
{
	struct run run = {0};
	int level = REGION_TOP;
	size_t node = 0;
	size_t end = nodes_of(region->committed, level);

	while (node < end) {
		const struct summary *one = &region->levels[level][node];
		size_t base = node * region_node_pages(level);

		if (run.pages + one->start[kind] >= pages)
			return run.pages != 0 ? run.first : base;
		if (one->max[kind] < pages) {
			run_pass(&run, one, kind, base, region_node_pages(level));
			node++;
		} else if (level == 0) {
			return base + chunk_find(&region->chunks[node], kind, pages);
		} else {
			level--;
			node *= REGION_FAN;
			end = node + REGION_FAN;
			run = (struct run){0};
		}
	}
	return SIZE_MAX;
}

static size_t chunk_find_dirty(const struct chunk *chunk, size_t pages)
{
	uint64_t bits[CHUNK_WORDS];

	for (size_t i = 0; i < CHUNK_WORDS; i++)
		bits[i] = ~(chunk->allocated[i] | chunk->lazy[i] | chunk->clean[i]);
	return bits_find_run(bits, CHUNK_PAGES, pages);
}

size_t region_find_dirty(const struct region *region, size_t pages)
{
	size_t chunks = chunks_of(region->committed);
	size_t chunk = 0;

	for (unsigned looks = 0; chunk < chunks && looks < DIRTY_LOOKS_MAX;) {
		int level = REGION_TOP;
		size_t page;

		while (level >= 0 &&
			region->levels[level][chunk >> REGION_FAN_SHIFT * level].dirty >= pages)
			level--;
		if (level >= 0) {
			chunk = ((chunk >> REGION_FAN_SHIFT * level) + 1)
				<< REGION_FAN_SHIFT * level;
			continue;
		}
		page = chunk_find_dirty(&region->chunks[chunk], pages);
		if (page != SIZE_MAX)
			return chunk * CHUNK_PAGES + page;
		looks++;
		chunk++;
	}
	return SIZE_MAX;
}

size_t region_free_at_end(const struct region *region)
{
	size_t pages = 0;

	for (size_t i = chunks_of(region->committed); i > 0; i--) {
		pages += region->levels[0][i - 1].end[RUN_ANY];
		if (region->levels[0][i - 1].end[RUN_ANY] != CHUNK_PAGES)
			break;
	}
	return pages;
}

bool region_chunk_is_free(const struct region *region, size_t page)
{
	return region->levels[0][page / CHUNK_PAGES].start[RUN_ANY] == CHUNK_PAGES;
}

bool region_chunk_is_void(const struct region *region, size_t page)
{
	const struct summary *summary = &region->levels[0][page / CHUNK_PAGES];

	return summary->start[RUN_ANY] == CHUNK_PAGES && summary->max[RUN_WARM] == 0;
}

bool region_is_free(const struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	if (end > region->committed)
		return false;
	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		if ((word.chunk->allocated[word.index] & word.mask) != 0)
			return false;
	}
	return true;
}

bool region_is_any_free(const struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		if ((~word.chunk->allocated[word.index] & word.mask) != 0)
			return true;
	}
	return false;
}

struct page_counts region_count(const struct region *region, size_t page, size_t pages)
{
	struct page_counts counts = {0};
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);
		uint64_t lazy = word.chunk->lazy[word.index] & word.mask;
		uint64_t clean = word.chunk->clean[word.index] & word.mask;

		counts.clean += bits_count(clean);
		counts.fresh += bits_count(clean & lazy);
		counts.lazy += bits_count(lazy & ~clean);
		counts.dirty += bits_count(word.mask & ~lazy & ~clean);
	}
	return counts;
}

enum run_class region_run_class(const struct region *region, size_t page)
{
	return run_class_of(region->levels[0][page / CHUNK_PAGES].max[RUN_ANY]);
}

size_t region_used_once(const struct chunk *chunk, size_t word)
{
	return bits_count(~chunk->allocated[word] & ~(chunk->lazy[word] & chunk->clean[word]));
}

/* Changing -------------------------------------------------------------- */

void region_grow(struct region *region, size_t pages)
{
	size_t first = region->committed;

	for (size_t i = chunks_of(first); i < chunks_of(first + pages); i++) {
		struct chunk *chunk = &region->chunks[i];

		memset(chunk->lazy, 0xff, sizeof chunk->lazy);
		memset(chunk->clean, 0xff, sizeof chunk->clean);
	}
	region->committed += pages;
	summaries_update(region, first, pages);
}

void region_take(struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->allocated[word.index] |= word.mask;
		word.chunk->lazy[word.index] &= ~word.mask;
		word.chunk->clean[word.index] &= ~word.mask;
	}
	summaries_update(region, page, pages);
}

void region_give(
	struct region *region, size_t page, size_t pages, uint64_t clean_mask, uint64_t now_ns)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->allocated[word.index] &= ~word.mask;
		word.chunk->idle_since_ns[word.index] = now_ns;
	}
	for (; clean_mask != 0; clean_mask &= clean_mask - 1) {
		size_t at = page + bits_lowest(clean_mask);
		struct word_at word = word_of(region, at, at + 1);

		word.chunk->clean[word.index] |= word.mask;
	}
	summaries_update(region, page, pages);
}

void region_hold(struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->allocated[word.index] |= word.mask;
	}
	summaries_update(region, page, pages);
}

void region_release(struct region *region, size_t page, size_t pages, enum region_state state)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->allocated[word.index] &= ~word.mask;
		/* What was clean stays as fresh as it was. */
		word.mask &= ~word.chunk->clean[word.index];
		if (state == REGION_LAZY)
			word.chunk->lazy[word.index] |= word.mask;
		if (state != REGION_CLEAN)
			continue;
		word.chunk->lazy[word.index] &= ~word.mask;
		word.chunk->clean[word.index] |= word.mask;
	}
	summaries_update(region, page, pages);
}

struct page_counts region_soil(struct region *region, size_t page, size_t pages)
{
	struct page_counts counts = {0};
	size_t end = page + pages;

	if (pages == 0)
		return counts;
	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);
		uint64_t free = word.mask & ~word.chunk->allocated[word.index];
		uint64_t lazy = word.chunk->lazy[word.index] & free;
		uint64_t clean = word.chunk->clean[word.index] & free;

		counts.clean += bits_count(clean);
		counts.fresh += bits_count(clean & lazy);
		counts.lazy += bits_count(lazy & ~clean);
		word.chunk->lazy[word.index] &= ~free;
		word.chunk->clean[word.index] &= ~free;
	}
	summaries_update(region, page, pages);
	return counts;
}

/* Checking -------------------------------------------------------------- */

static bool node_is_right(const struct region *region, int level, size_t node)
{
	const struct summary *under = &region->levels[level - 1][node * REGION_FAN];
	struct summary now = {.dirty = 0};

	for (size_t i = 0; i < REGION_FAN; i++) {
		now.dirty += under[i].dirty;
		now.lazy += under[i].lazy;
	}
	for (int kind = 0; kind < RUN_KINDS; kind++)
		node_runs(&now, under, region_node_pages(level - 1), kind);
	return memcmp(&now, &region->levels[level][node], sizeof now) == 0;
}

const char *region_check(const struct region *region, struct page_counts *counts, size_t *allocated)
{
	size_t chunks = chunks_of(region->committed);

	for (size_t i = 0; i < chunks; i++) {
		struct summary now = chunk_summary(&region->chunks[i]);

		if (memcmp(&now, &region->levels[0][i], sizeof now) != 0)
			return "a chunk's summary differs from its bits";
	}
	for (int level = 1; level < REGION_LEVELS; level++)
		for (size_t i = 0; i < nodes_of(region->committed, level); i++)
			if (!node_is_right(region, level, i))
				return "a summary differs from those under it";
	for (size_t at = 0; at < region->committed; at = word_next(at)) {
		struct word_at word = word_of(region, at, region->committed);
		uint64_t taken = word.chunk->allocated[word.index];
		uint64_t lazy = word.chunk->lazy[word.index];
		uint64_t clean = word.chunk->clean[word.index];

		if ((taken & (lazy | clean)) != 0)
			return "an allocated page has an idle state";
		if (word.chunk->huge != 0 && clean != 0)
			return "a huge chunk has pages that are not resident";
		*allocated += bits_count(taken);
		counts->dirty += bits_count(~taken & ~lazy & ~clean);
		counts->lazy += bits_count(lazy & ~clean);
		counts->clean += bits_count(clean);
		counts->fresh += bits_count(clean & lazy);
	}
	return NULL;
}
