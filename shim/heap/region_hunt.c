#include "shim/heap/region.h"

#include "shim/heap/bits.h"
#include "shim/heap/huge.h"

/* Looking for what a scavenger may take, from the top. */

/* Whether such a run may be there: what is hunted is warm, so no run is longer than the warm ones.
 */
static bool hunt_wants(const struct region_hunt *hunt, const struct summary *over)
{
	if (over->max[RUN_WARM] < hunt->pages_min)
		return false;
	return (hunt->dirty && over->dirty != 0) || (hunt->lazy && over->lazy != 0);
}

static bool is_of_age(const struct region_hunt *hunt, const struct hunt_age *age, uint64_t since_ns)
{
	uint64_t age_ns;

	if (hunt->ages == NULL)
		return since_ns <= hunt->idle_before_ns;
	age_ns = hunt->ages->now_ns > since_ns ? hunt->ages->now_ns - since_ns : 0;
	return age->before_ns != 0 && since_ns <= age->before_ns &&
	       (age->buckets >> reuse_bucket(age_ns) & 1) != 0;
}

/* The pages of a word that are hunted; size: the chunk's. */
static uint64_t word_hunted(
	const struct region_hunt *hunt, const struct chunk *chunk, size_t word, enum run_class size)
{
	static const struct hunt_ages none;
	const struct hunt_ages *ages = hunt->ages != NULL ? hunt->ages : &none;
	uint64_t since_ns = chunk->idle_since_ns[word];
	uint64_t lazy = ~chunk->allocated[word] & ~chunk->clean[word] & chunk->lazy[word];
	uint64_t dirty = ~chunk->allocated[word] & ~chunk->clean[word] & ~chunk->lazy[word];

	if (!hunt->dirty || dirty == 0 || !is_of_age(hunt, &ages->dirty[size], since_ns))
		dirty = 0;
	if (!hunt->lazy || lazy == 0 || !is_of_age(hunt, &ages->lazy[size], since_ns))
		lazy = 0;
	return dirty | lazy;
}

bool region_hunts_all(const struct region *region, const struct region_hunt *hunt, size_t page)
{
	const struct chunk *chunk = &region->chunks[page / CHUNK_PAGES];
	enum run_class size = region_run_class(region, page);

	for (size_t i = 0; i < CHUNK_WORDS; i++)
		if ((~chunk->allocated[i] & ~chunk->clean[i] &
			    ~word_hunted(hunt, chunk, i, size)) != 0)
			return false;
	return true;
}

/* Whether a chunk is left as it is because it may be a huge page of which a part lives. */
static bool is_kept_huge(const struct region *region, size_t at, const struct region_hunt *hunt)
{
	const struct chunk *chunk = &region->chunks[at];
	size_t idle = CHUNK_PAGES;

	if (chunk->huge == 0 || region_chunk_is_free(region, at * CHUNK_PAGES))
		return false;
	for (size_t i = 0; i < CHUNK_WORDS && hunt->sparse_only; i++)
		idle -= bits_count(chunk->allocated[i]);
	return hunt->broken_only || (hunt->sparse_only && !huge_is_sparse(idle, CHUNK_PAGES));
}

static bool chunk_hunt(const struct region *region, size_t at, const struct region_hunt *hunt,
	size_t below, size_t *first, size_t *end)
{
	const struct chunk *chunk = &region->chunks[at];
	enum run_class size = region_run_class(region, at * CHUNK_PAGES);
	uint64_t bits[CHUNK_WORDS];
	uint64_t any = 0;

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		bits[i] = word_hunted(hunt, chunk, i, size);
		any |= bits[i];
	}
	if (any == 0 || is_kept_huge(region, at, hunt))
		return false;
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

		int level = REGION_TOP;

		while (level > 0 &&
			hunt_wants(hunt, &region->levels[level][chunk >> REGION_FAN_SHIFT * level]))
			level--;
		if (level > 0) {
			below = (chunk >> REGION_FAN_SHIFT * level) * region_node_pages(level);
			continue;
		}
		if (hunt_wants(hunt, &region->levels[0][chunk]) &&
			chunk_hunt(region, chunk, hunt, below - base, first, end)) {
			*first += base;
			*end += base;
			return true;
		}
		below = base;
	}
	return false;
}
