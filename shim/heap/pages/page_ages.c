/* How long pages idled, as they are taken and given back. */
#include "shim/heap/pages/page_ages.h"

#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/refault.h"

/* Words of 64 pages looked at before the lock is dropped for a moment, and in all; and how often.
 */
#define WORDS_AT_ONCE 128U
#define WORDS_MAX 1024U
#define ACCOUNT_NS 50000000U

/* Where the next chunk, or word of 64 pages, begins. */
static size_t part_end(size_t page, size_t part_pages, size_t end)
{
	size_t next = (page / part_pages + 1) * part_pages;

	return next < end ? next : end;
}

static uint64_t since_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static uint64_t idle_since_ns(const struct region *region, size_t page)
{
	return region->chunks[page / CHUNK_PAGES].idle_since_ns[page % CHUNK_PAGES / 64];
}

static uint64_t *released_ns(const struct region *region, size_t page)
{
	return &region->chunks[page / CHUNK_PAGES].released_ns[page % CHUNK_PAGES / 64];
}

static bool is_of_one_age(const struct region *region, size_t page, size_t other)
{
	return idle_since_ns(region, page) == idle_since_ns(region, other) &&
	       *released_ns(region, page) == *released_ns(region, other);
}

/* Pages of one age. */
static void part_taken(
	const struct region *region, size_t page, const struct page_counts *counts, uint64_t now_ns)
{
	uint64_t age_ns = since_ns(now_ns, idle_since_ns(region, page));
	size_t clean = counts->clean - counts->fresh;

	reuse_wanted(&page_heap.reuse, region_run_class(region, page), age_ns,
		counts->dirty + counts->lazy + clean);
	if (page_heap.break_even_ns != 0 && age_ns > page_heap.break_even_ns)
		page_heap.stats.regret_hold += counts->dirty;
	if (clean != 0 && since_ns(now_ns, *released_ns(region, page)) < page_heap.break_even_ns)
		page_heap.stats.regret_release += clean;
}

/* Pages of one chunk; counts: theirs, or NULL. */
static void chunk_taken(const struct region *region, size_t page, size_t pages,
	const struct page_counts *counts, uint64_t now_ns)
{
	size_t first = page;
	size_t end = page + pages;
	size_t clean = 0;

	for (size_t next; page < end; page = next) {
		struct page_counts part;

		next = part_end(page, 64, end);
		while (next < end && is_of_one_age(region, page, next))
			next = part_end(next, 64, end);
		part = counts != NULL && next - page == pages
			       ? *counts
			       : region_count(region, page, next - page);
		clean += part.clean - part.fresh;
		if (part.fresh != next - page)
			part_taken(region, page, &part, now_ns);
	}
	if (clean == pages)
		refault_note_locked(region_address(region, first), pages, now_ns);
}

void page_ages_taken_locked(
	const struct region *region, size_t page, size_t pages, const struct page_counts *counts)
{
	uint64_t now_ns;
	size_t end = page + pages;

	if (counts->fresh == pages)
		return;
	now_ns = os_now_coarse_ns();
	if (part_end(page, CHUNK_PAGES, end) == end) {
		chunk_taken(region, page, pages, counts, now_ns);
		return;
	}
	for (size_t next; page < end; page = next) {
		next = part_end(page, CHUNK_PAGES, end);
		chunk_taken(region, page, next - page, NULL, now_ns);
	}
}

void page_ages_released_locked(struct region *region, size_t page, size_t pages, bool clean)
{
	uint64_t now_ns = os_now_coarse_ns();
	size_t end = page + pages;

	for (size_t next; page < end; page = next) {
		next = part_end(page, 64, end);
		if (page_heap.break_even_ns != 0 &&
			since_ns(now_ns, idle_since_ns(region, page)) > page_heap.break_even_ns)
			page_heap.stats.regret_hold +=
				region_count(region, page, next - page).dirty;
		if (clean)
			*released_ns(region, page) = now_ns;
	}
}

/* One look: idle pages of a word, which stands for `weight` of them, grew older since from_ns. */
static void word_account(
	const struct region *region, size_t word, uint64_t from_ns, uint64_t now_ns, size_t weight)
{
	size_t page = word * 64;
	enum run_class size = region_run_class(region, page);
	size_t pages = region_used_once(region_chunk(region, page), word % CHUNK_WORDS);
	uint64_t idle_ns = idle_since_ns(region, page);

	/* Pages of which none was ever freed came with a huge page. */
	if (pages == 0 || idle_ns == 0)
		return;
	/* The most that idles at once is taken by chunks: as if all of this one were like the word.
	 */
	reuse_idle(&page_heap.reuse, size, pages * (weight > CHUNK_WORDS ? weight : CHUNK_WORDS));
	reuse_exposed(&page_heap.reuse, size, since_ns(from_ns, idle_ns), since_ns(now_ns, idle_ns),
		pages * weight);
}

/* Words of one region from *word on, until enough were looked at; false: the region's end. */
static bool region_account(
	size_t index, size_t *word, size_t stride, uint64_t from_ns, uint64_t now_ns)
{
	const struct region *region;
	bool more = false;

	lock_take(&page_heap.lock);
	if (index < page_heap.count) {
		size_t words;

		region = &page_heap.regions[index];
		words = region->committed / 64;
		for (unsigned looks = 0; *word < words && looks < WORDS_AT_ONCE; looks++) {
			word_account(region, *word, from_ns, now_ns, stride);
			*word += stride;
		}
		more = *word < words;
	}
	lock_drop_kindly(&page_heap.lock);
	return more;
}

void page_ages_account(uint64_t now_ns, uint64_t break_even_ns, struct reuse *reuse)
{
	static uint64_t last_ns;
	static size_t turn;
	size_t regions;
	size_t stride;

	if (last_ns != 0 && now_ns - last_ns < ACCOUNT_NS)
		return;
	lock_take(&page_heap.lock);
	reuse_decay(&page_heap.reuse, now_ns);
	page_heap.break_even_ns = break_even_ns;
	regions = page_heap.count;
	stride = page_heap.stats.committed / 64 / WORDS_MAX + 1;
	lock_drop(&page_heap.lock);
	turn++;
	for (size_t i = 0; i < regions && last_ns != 0; i++) {
		size_t word = turn % stride;

		while (region_account(i, &word, stride, last_ns, now_ns))
			;
	}
	last_ns = now_ns;
	lock_take(&page_heap.lock);
	*reuse = page_heap.reuse;
	lock_drop(&page_heap.lock);
}
