#include "shim/heap/region.h"

#include "shim/heap/bits.h"

#include <string.h>

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

static size_t groups_of(size_t pages)
{
	return (chunks_of(pages) + GROUP_CHUNKS - 1) / GROUP_CHUNKS;
}

static size_t area_bytes(size_t count, size_t each)
{
	return round_up(count * each, PAGE_BYTES);
}

/* Summaries of whole groups, so that the last group can be read like any other. */
static size_t summaries_bytes(size_t pages)
{
	return area_bytes(groups_of(pages) * GROUP_CHUNKS, sizeof(struct summary));
}

size_t region_metadata_bytes(size_t pages)
{
	return area_bytes(groups_of(pages), sizeof(struct summary)) + summaries_bytes(pages) +
	       area_bytes(chunks_of(pages), sizeof(struct chunk));
}

size_t region_touched_bytes(size_t committed)
{
	return region_metadata_bytes(committed);
}

void region_init(struct region *region, void *start, size_t pages, void *metadata)
{
	unsigned char *at = metadata;

	region->start = (uintptr_t)start;
	region->pages = pages;
	region->committed = 0;
	region->groups = (void *)at;
	at += area_bytes(groups_of(pages), sizeof(struct summary));
	region->summaries = (void *)at;
	at += summaries_bytes(pages);
	region->chunks = (void *)at;
}

/* Summaries ------------------------------------------------------------- */

static struct summary chunk_summary(const struct chunk *chunk)
{
	uint64_t bits[RUN_KINDS][CHUNK_WORDS];
	struct summary summary = {.dirty = 0};

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t idle = ~chunk->allocated[i];
		uint64_t warm = idle & ~chunk->clean[i];

		bits[RUN_ANY][i] = idle;
		bits[RUN_WARM][i] = warm;
		if (warm == 0)
			continue;
		summary.dirty += bits_count(warm & ~chunk->lazy[i]);
		summary.lazy += bits_count(warm & chunk->lazy[i]);
	}
	for (int kind = 0; kind < RUN_KINDS; kind++) {
		struct bits_runs runs = bits_runs_of(bits[kind], CHUNK_WORDS);

		summary.start[kind] = runs.start;
		summary.max[kind] = runs.max;
		summary.end[kind] = runs.end;
	}
	return summary;
}

/* The runs of one kind over some chunks' summaries, into `group`. */
static void group_runs(
	struct summary *group, const struct summary *chunks, size_t count, enum run_kind kind)
{
	uint32_t run = 0;
	uint32_t max = 0;
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		const struct summary *one = &chunks[i];

		run += one->start[kind];
		if (one->start[kind] == CHUNK_PAGES)
			continue;
		if (whole)
			group->start[kind] = run;
		whole = false;
		max = run > max ? run : max;
		max = one->max[kind] > max ? one->max[kind] : max;
		run = one->end[kind];
	}
	if (whole)
		group->start[kind] = run;
	group->max[kind] = run > max ? run : max;
	/* What is not committed is not free. */
	group->end[kind] = count == GROUP_CHUNKS ? run : 0;
}

static size_t group_committed(const struct region *region, size_t group)
{
	size_t chunks = chunks_of(region->committed) - group * GROUP_CHUNKS;

	return chunks < GROUP_CHUNKS ? chunks : GROUP_CHUNKS;
}

static bool runs_differ(const struct summary *a, const struct summary *b, enum run_kind kind)
{
	return a->start[kind] != b->start[kind] || a->max[kind] != b->max[kind] ||
	       a->end[kind] != b->end[kind];
}

/* Brings the summaries of some chunks of one group, and the group's, up to date. */
static void group_update(struct region *region, size_t group, size_t first, size_t end)
{
	const struct summary *chunks = &region->summaries[group * GROUP_CHUNKS];
	struct summary *over = &region->groups[group];
	bool changed[RUN_KINDS] = {false};

	for (size_t i = first; i < end; i++) {
		struct summary *before = &region->summaries[i];
		struct summary now = chunk_summary(&region->chunks[i]);

		over->dirty += now.dirty - before->dirty;
		over->lazy += now.lazy - before->lazy;
		for (int kind = 0; kind < RUN_KINDS; kind++)
			changed[kind] |= runs_differ(&now, before, kind);
		*before = now;
	}
	for (int kind = 0; kind < RUN_KINDS; kind++)
		if (changed[kind])
			group_runs(over, chunks, group_committed(region, group), kind);
}

static void summaries_update(struct region *region, size_t page, size_t pages)
{
	size_t end = (page + pages - 1) / CHUNK_PAGES + 1;
	size_t first = page / CHUNK_PAGES;

	while (first < end) {
		size_t group = first / GROUP_CHUNKS;
		size_t stop = (group + 1) * GROUP_CHUNKS;

		stop = stop < end ? stop : end;
		group_update(region, group, first, stop);
		first = stop;
	}
}

/* Finding --------------------------------------------------------------- */

/* A run that may go on in the next chunk or group. */
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

static size_t group_find(
	const struct region *region, size_t group, enum run_kind kind, size_t pages)
{
	struct run run = {0};

	for (size_t i = group * GROUP_CHUNKS; i < (group + 1) * GROUP_CHUNKS; i++) {
		const struct summary *one = &region->summaries[i];
		size_t base = i * CHUNK_PAGES;

		if (run.pages + one->start[kind] >= pages)
			return run.pages != 0 ? run.first : base;
		if (one->max[kind] >= pages)
			return base + chunk_find(&region->chunks[i], kind, pages);
		run_pass(&run, one, kind, base, CHUNK_PAGES);
	}
	return SIZE_MAX;
}

size_t region_find(const struct region *region, enum run_kind kind, size_t pages)
{
	struct run run = {0};
	size_t groups = groups_of(region->committed);

	for (size_t i = 0; i < groups; i++) {
		const struct summary *one = &region->groups[i];
		size_t base = i * GROUP_PAGES;

		if (run.pages + one->start[kind] >= pages)
			return run.pages != 0 ? run.first : base;
		if (one->max[kind] >= pages)
			return group_find(region, i, kind, pages);
		run_pass(&run, one, kind, base, GROUP_PAGES);
	}
	return SIZE_MAX;
}

size_t region_free_at_end(const struct region *region)
{
	size_t pages = 0;

	for (size_t i = chunks_of(region->committed); i > 0; i--) {
		pages += region->summaries[i - 1].end[RUN_ANY];
		if (region->summaries[i - 1].end[RUN_ANY] != CHUNK_PAGES)
			break;
	}
	return pages;
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
		word.chunk->idle_since_ns = now_ns;
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
		if (state == REGION_LAZY)
			word.chunk->lazy[word.index] |= word.mask;
		if (state != REGION_CLEAN)
			continue;
		word.chunk->lazy[word.index] &= ~word.mask;
		word.chunk->clean[word.index] |= word.mask;
	}
	summaries_update(region, page, pages);
}

/* Hunting --------------------------------------------------------------- */

/* Whether such a run may be there: what is hunted is warm, so no run is longer than the warm ones.
 */
static bool hunt_wants(const struct region_hunt *hunt, const struct summary *over)
{
	if (over->max[RUN_WARM] < hunt->pages_min)
		return false;
	return (hunt->dirty && over->dirty != 0) || (hunt->lazy && over->lazy != 0);
}

static bool chunk_hunt(const struct chunk *chunk, const struct region_hunt *hunt, size_t below,
	size_t *first, size_t *end)
{
	uint64_t bits[CHUNK_WORDS];

	if (chunk->idle_since_ns > hunt->idle_before_ns)
		return false;
	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		bits[i] = ~chunk->allocated[i] & ~chunk->clean[i];
		if (!hunt->lazy)
			bits[i] &= ~chunk->lazy[i];
		if (!hunt->dirty)
			bits[i] &= chunk->lazy[i];
	}
	while (bits_last_run(bits, below, first, end)) {
		if (*end - *first >= hunt->pages_min)
			return true;
		below = *first;
	}
	return false;
}

bool region_hunt(const struct region *region, const struct region_hunt *hunt, size_t below,
	size_t *first, size_t *end)
{
	if (below > region->committed)
		below = region->committed;
	while (below > 0) {
		size_t chunk = (below - 1) / CHUNK_PAGES;
		size_t base = chunk * CHUNK_PAGES;

		if (!hunt_wants(hunt, &region->groups[chunk / GROUP_CHUNKS])) {
			below = chunk / GROUP_CHUNKS * GROUP_PAGES;
			continue;
		}
		if (hunt_wants(hunt, &region->summaries[chunk]) &&
			chunk_hunt(&region->chunks[chunk], hunt, below - base, first, end)) {
			*first += base;
			*end += base;
			return true;
		}
		below = base;
	}
	return false;
}

/* Checking -------------------------------------------------------------- */

const char *region_check(const struct region *region, struct page_counts *counts, size_t *allocated)
{
	size_t chunks = chunks_of(region->committed);

	for (size_t i = 0; i < chunks; i++) {
		struct summary now = chunk_summary(&region->chunks[i]);

		if (memcmp(&now, &region->summaries[i], sizeof now) != 0)
			return "a chunk's summary differs from its bits";
	}
	for (size_t i = 0; i < groups_of(region->committed); i++) {
		const struct summary *under = &region->summaries[i * GROUP_CHUNKS];
		size_t count = group_committed(region, i);
		struct summary now = {.dirty = 0};

		for (size_t k = 0; k < count; k++) {
			now.dirty += under[k].dirty;
			now.lazy += under[k].lazy;
		}
		for (int kind = 0; kind < RUN_KINDS; kind++)
			group_runs(&now, under, count, kind);
		if (memcmp(&now, &region->groups[i], sizeof now) != 0)
			return "a group's summary differs from its chunks'";
	}
	for (size_t at = 0; at < region->committed; at = word_next(at)) {
		struct word_at word = word_of(region, at, region->committed);
		uint64_t taken = word.chunk->allocated[word.index];
		uint64_t lazy = word.chunk->lazy[word.index];
		uint64_t clean = word.chunk->clean[word.index];

		if ((taken & (lazy | clean)) != 0)
			return "an allocated page has an idle state";
		*allocated += bits_count(taken);
		counts->dirty += bits_count(~taken & ~lazy & ~clean);
		counts->lazy += bits_count(lazy & ~clean);
		counts->clean += bits_count(clean);
		counts->fresh += bits_count(clean & lazy);
	}
	return NULL;
}
