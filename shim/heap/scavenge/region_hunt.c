/* Finds the next run in one region that a hunt wants. */
#include "shim/heap/scavenge/region_hunt.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/pages/huge.h"

/* Pages of the lowest rank that a hunt may want. */
static uint32_t lowest_rank(const struct hunt_ages *ages, const struct hunt_age *age)
{
	uint64_t youngest_ns;
	uint64_t before_ns;

	if (age->before_ns == 0 || age->buckets == 0)
		return IDLE_RANK_NEVER;
	youngest_ns = reuse_bucket_start_ns(bits_lowest(age->buckets));
	before_ns = ages->now_ns > youngest_ns ? ages->now_ns - youngest_ns : 0;
	/* What became idle later than now counts as of no age. */
	if (youngest_ns == 0 || before_ns > age->before_ns)
		before_ns = age->before_ns;
	return idle_rank(before_ns);
}

void region_hunt_begin(struct region_hunt *hunt)
{
	const struct hunt_ages *ages = hunt->ages;
	uint32_t any_size = idle_rank(hunt->idle_before_ns);

	for (unsigned size = 0; size < RUN_CLASSES; size++) {
		hunt->ranks[idle_index(size, IDLE_DIRTY)] =
			ages != NULL ? lowest_rank(ages, &ages->dirty[size]) : any_size;
		hunt->ranks[idle_index(size, IDLE_LAZY)] =
			ages != NULL ? lowest_rank(ages, &ages->lazy[size]) : any_size;
	}
}

static bool is_old_enough(
	const struct region_hunt *hunt, const struct idle_ages *ages, enum idle_kind kind)
{
	for (unsigned size = 0; size < RUN_CLASSES; size++)
		if (ages->oldest[idle_index(size, kind)] >= hunt->ranks[idle_index(size, kind)])
			return true;
	return false;
}

/* Whether such a run may be there: what is hunted is warm, so no run is longer than the warm ones.
 */
static bool hunt_wants(
	const struct region *region, const struct region_hunt *hunt, int level, size_t node)
{
	const struct summary *over = &region->levels[level][node];
	const struct idle_ages *ages = &region->ages[level][node];
	bool dirty = hunt->dirty && over->dirty != 0;
	bool lazy = hunt->lazy && over->lazy != 0;

	if (over->max[RUN_WARM] < hunt->pages_min || !(dirty || lazy))
		return false;
	/* What keeps its huge page is not in the ages. */
	if (!hunt->broken_only)
		return true;
	return (dirty && is_old_enough(hunt, ages, IDLE_DIRTY)) ||
	       (lazy && is_old_enough(hunt, ages, IDLE_LAZY));
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

static void looks_count(struct region_hunt *hunt, size_t looks)
{
	hunt->looks -= looks < hunt->looks ? looks : hunt->looks;
}

/* From below a chunk's end: a run of it, or false, and *below is its start. */
static bool chunk_hunt_below(
	const struct region *region, struct region_hunt *hunt, size_t *below, size_t *end)
{
	size_t chunk = (*below - 1) / CHUNK_PAGES;
	size_t base = chunk * CHUNK_PAGES;
	size_t first;

	looks_count(hunt, REGION_CHUNK_LOOKS);
	if (!chunk_hunt(region, chunk, hunt, *below - base, &first, end)) {
		*below = base;
		return false;
	}
	*below = base + first;
	*end += base;
	return true;
}

bool region_hunt(const struct region *region, struct region_hunt *hunt, size_t *below, size_t *end)
{
	int level = region->top;

	if (*below > region->committed)
		*below = region->committed;
	while (*below > 0 && hunt->looks > 0) {
		size_t node = (*below - 1) / region_node_pages(level);

		looks_count(hunt, 1);
		if (!hunt_wants(region, hunt, level, node)) {
			*below = node * region_node_pages(level);
		} else if (level > 0) {
			level--;
			continue;
		} else if (chunk_hunt_below(region, hunt, below, end)) {
			return true;
		}
		while (level < region->top && *below % region_node_pages(level + 1) == 0)
			level++;
	}
	return false;
}
