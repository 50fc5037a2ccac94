/* The state of a region's pages: finds, counts and changes it; region_summary.c has the tree over
 * it, region_hunt.c what a scavenger looks for. */

#include "shim/heap/pages/region.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/pages/region_summary.h"

#include <string.h>

/* Chunks, and nodes, that a search for dirty pages looks at. */
#define DIRTY_LOOKS_MAX 16U
#define DIRTY_STEPS_MAX 256U

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

static size_t area_bytes(size_t count, size_t each)
{
	return round_up(count * each, PAGE_BYTES);
}

/* Whole eights, so that the last node's children can be read like any other's. */
static size_t level_bytes(size_t pages, int level, size_t each)
{
	return area_bytes(round_up(region_nodes(pages, level), REGION_FAN), each);
}

size_t region_metadata_bytes(size_t pages)
{
	size_t bytes = area_bytes(region_chunks(pages), sizeof(struct chunk));

	for (int level = 0; level < REGION_LEVELS; level++)
		bytes += level_bytes(pages, level, sizeof(struct summary)) +
			 level_bytes(pages, level, sizeof(struct idle_ages));
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
	region->top = 0;
	for (int level = REGION_TOP; level >= 0; level--) {
		region->levels[level] = (void *)at;
		at += level_bytes(capacity, level, sizeof(struct summary));
		region->ages[level] = (void *)at;
		at += level_bytes(capacity, level, sizeof(struct idle_ages));
	}
	region->chunks = (void *)at;
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
	int level = region->top;
	size_t node = 0;
	size_t end = region_nodes(region->committed, level);

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
	size_t chunks = region_chunks(region->committed);
	unsigned looks = 0;
	size_t chunk = 0;

	for (unsigned steps = 0;
		chunk < chunks && looks < DIRTY_LOOKS_MAX && steps < DIRTY_STEPS_MAX; steps++) {
		int level = region->top;
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
	size_t below = region->committed;
	int level = 0;

	while (below > 0) {
		size_t node = (below - 1) / region_node_pages(level);
		size_t at_end = region->levels[level][node].end[RUN_ANY];

		if (at_end < region_node_pages(level) && level == 0)
			return region->committed - below + at_end;
		if (at_end < region_node_pages(level)) {
			level--;
			continue;
		}
		below -= region_node_pages(level);
		if (level < region->top && below % region_node_pages(level + 1) == 0)
			level++;
	}
	return region->committed;
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

static void count_states(struct page_counts *counts, const struct word_at *word)
{
	uint64_t lazy = word->chunk->lazy[word->index] & word->mask;
	uint64_t clean = word->chunk->clean[word->index] & word->mask;

	counts->dirty += bits_count(word->mask & ~lazy & ~clean);
	if ((lazy | clean) == 0)
		return;
	counts->clean += bits_count(clean);
	counts->fresh += bits_count(clean & lazy);
	counts->lazy += bits_count(lazy & ~clean);
}

struct page_counts region_count(const struct region *region, size_t page, size_t pages)
{
	struct page_counts counts = {0};
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		count_states(&counts, &word);
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

	for (size_t i = region_chunks(first); i < region_chunks(first + pages); i++) {
		struct chunk *chunk = &region->chunks[i];

		memset(chunk->lazy, 0xff, sizeof chunk->lazy);
		memset(chunk->clean, 0xff, sizeof chunk->clean);
	}
	region->committed += pages;
	region_summarize_grown(region, first, pages);
}

/* The end of a range, or of the chunk that it begins in. */
static size_t chunk_part_end(size_t page, size_t end)
{
	size_t next = (page / CHUNK_PAGES + 1) * CHUNK_PAGES;

	return next < end ? next : end;
}

/* Whether the next part of a range lies under another node than this one, or there is none. */
static bool is_last_part(size_t part_end, size_t end)
{
	return part_end == end || part_end % region_node_pages(1) == 0;
}

/* Of one chunk. */
static void chunk_take(struct region *region, size_t page, size_t end, struct region_change *change)
{
	struct page_counts counts = {0};

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		count_states(&counts, &word);
		word.chunk->allocated[word.index] |= word.mask;
		word.chunk->lazy[word.index] &= ~word.mask;
		word.chunk->clean[word.index] &= ~word.mask;
	}
	region_adjust_taken(region, page, end, &counts, change);
}

void region_take(struct region *region, size_t page, size_t pages)
{
	struct region_change change = {.dirty = 0};
	size_t end = page + pages;

	for (size_t at = page, next; at < end; at = next) {
		next = chunk_part_end(at, end);
		chunk_take(region, at, next, &change);
		if (is_last_part(next, end))
			region_adjusted(region, at, &change);
	}
}

/* Of one chunk. */
static void chunk_give(struct region *region, size_t page, size_t end, uint64_t clean_mask,
	uint64_t now_ns, struct region_change *change)
{
	struct page_counts counts = {.clean = bits_count(clean_mask)};

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
	counts.dirty = end - page - counts.clean;
	region_adjust_given(region, page, end, &counts, change);
}

void region_give(
	struct region *region, size_t page, size_t pages, uint64_t clean_mask, uint64_t now_ns)
{
	struct region_change change = {.dirty = 0};
	size_t end = page + pages;

	for (size_t at = page, next; at < end; at = next) {
		next = chunk_part_end(at, end);
		chunk_give(region, at, next, clean_mask & bits_mask(0, next - at), now_ns, &change);
		if (is_last_part(next, end))
			region_adjusted(region, at, &change);
		clean_mask = next - at < 64 ? clean_mask >> (next - at) : 0;
	}
}

void region_blank(struct region *region, size_t page, size_t pages, bool fresh)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->clean[word.index] |= word.mask;
		if (fresh)
			word.chunk->lazy[word.index] |= word.mask;
	}
	region_summarize(region, page, pages);
}

void region_hold(struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t at = page; at < end; at = word_next(at)) {
		struct word_at word = word_of(region, at, end);

		word.chunk->allocated[word.index] |= word.mask;
	}
	region_summarize(region, page, pages);
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
	region_summarize(region, page, pages);
}

void region_set_huge(struct region *region, size_t page, bool huge)
{
	region_chunk(region, page)->huge = huge;
	region_summarize(region, page, 1);
}

size_t region_hold_clean(struct region *region, size_t page, uint64_t pages[CHUNK_WORDS])
{
	struct chunk *chunk = region_chunk(region, page);
	size_t held = 0;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		pages[i] &= ~chunk->allocated[i] & chunk->clean[i];
		chunk->allocated[i] |= pages[i];
		held += bits_count(pages[i]);
	}
	if (held != 0)
		region_summarize(region, page, 1);
	return held;
}

size_t region_release_clean(struct region *region, size_t page, const uint64_t held[CHUNK_WORDS],
	const uint64_t resident[CHUNK_WORDS])
{
	struct chunk *chunk = region_chunk(region, page);
	size_t dirty = 0;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		chunk->allocated[i] &= ~held[i];
		chunk->lazy[i] &= ~(held[i] & resident[i]);
		chunk->clean[i] &= ~(held[i] & resident[i]);
		dirty += bits_count(held[i] & resident[i]);
	}
	region_summarize(region, page, 1);
	return dirty;
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
	region_summarize(region, page, pages);
	return counts;
}
