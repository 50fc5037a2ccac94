#ifndef SHIM_HEAP_PAGES_REGION_H
#define SHIM_HEAP_PAGES_REGION_H

#include "shim/heap/base/page.h"
#include "shim/heap/pages/reuse.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A stretch of address space and the state of its pages.
 *
 * It has room for a capacity, which its metadata are laid out for and which lies at
 * nobody's disposal yet.  Of that it is reserved up to `pages`, which grows in
 * place (page_reserve.h), and of these the first are committed.
 *
 * Three bits a page, out of band:
 *
 *	allocated  lazy  clean
 *	    1       0      0	belongs to a span (or is not committed)
 *	    1       x      x	in transit: a scavenger is advising it; the two bits
 *				still say what it was
 *	    0       0      0	dirty: resident garbage
 *	    0       1      0	lazy: MADV_FREEd, garbage until written, and charged
 *				until the kernel takes it
 *	    0       0      1	clean: given back, zero when touched
 *	    0       1      1	fresh: clean and never touched
 *
 * Ages are kept for 64 pages together, a word of bits: a chunk that is in use always
 * has pages that were freed just now, and others that idle beside them.
 *
 * A run of free pages is one run whatever its pages' states are: there is
 * nothing to coalesce, since runs are read off the bits.
 *
 * To find runs quickly there is a tree of summaries: one for each chunk (512
 * pages), one for eight of these, and so on up to one node, or to nodes of 8 GiB.  Each tells of
 * the pages under it how many are free at the start, in the longest run, at the
 * end; once for all free pages and once for the warm ones alone (dirty or lazy),
 * since a warm run needs no page from the kernel.  Such triples add up: a run
 * of a node is one of a child, or ends of neighbours put together.  Searching
 * reads upward by address and descends only where the run must be; a change
 * adjusts the summaries over it (region_summary.h).  Both cost a few hundred instructions
 * in a heap of 64 GiB.
 *
 * Beside it lies a tree of ages, for whoever looks for pages that idled for long: each
 * node tells of the dirty and of the lazy pages under it, by the size of their chunk
 * (reuse.h), when the one that idles longest became idle.  A hunt for pages of
 * a certain age reads only the nodes over chunks that have some, so that
 * what it costs depends on what it finds, and not on the heap's size or on what is in use.
 * A huge chunk of which a part lives is left out, since only a hunt that breaks those wants it,
 * and goes by the summaries.
 *
 * Nothing here locks or makes system calls: the page heap does.
 */

enum run_kind { RUN_ANY, RUN_WARM, RUN_KINDS };

struct chunk {
	uint64_t allocated[CHUNK_WORDS];
	uint64_t lazy[CHUNK_WORDS];
	uint64_t clean[CHUNK_WORDS];
	uint64_t idle_since_ns[CHUNK_WORDS]; /* when pages of that word were last freed */
	uint64_t released_ns[CHUNK_WORDS];   /* when some of them last became clean */
	uint32_t huge;       /* 1: may be one huge page, nothing of it is clean (huge.h) */
	uint32_t small_seen; /* 1: there were small pages in it while part of it was clean */
	uint32_t parts;      /* 1: the last of it to go was a part, so that all may not be gone */
	uint32_t away;       /* 1: it was decommitted, nothing of it is in use (page_reserve.h) */
	uint32_t mapped;     /* 1: its page of the page map was written to */
	uint32_t padding_word;
	uint64_t padding[5];
};

struct summary {
	uint32_t start[RUN_KINDS];
	uint32_t max[RUN_KINDS];
	uint32_t end[RUN_KINDS];
	uint32_t dirty; /* idle pages by state, those in transit left out */
	uint32_t lazy;
};

enum idle_kind { IDLE_DIRTY, IDLE_LAZY, IDLE_KINDS };

/* Ranks of the pages that idle longest, by idle_index; 0: there are none. */
#define IDLE_AGES ((unsigned)RUN_CLASSES * IDLE_KINDS)

struct idle_ages {
	uint32_t oldest[IDLE_AGES];
};

static inline unsigned idle_index(enum run_class size, enum idle_kind kind)
{
	return (unsigned)size * IDLE_KINDS + (unsigned)kind;
}

/* The earlier, the higher, in steps of 17 ms; never 0.  After two years of uptime all are 1. */
#define IDLE_RANK_SHIFT 24
#define IDLE_RANK_NEVER UINT32_MAX /* higher than all */

static inline uint32_t idle_rank(uint64_t since_ns)
{
	uint64_t steps = since_ns >> IDLE_RANK_SHIFT;

	return steps < IDLE_RANK_NEVER - 1 ? IDLE_RANK_NEVER - 1 - (uint32_t)steps : 1;
}

/* Each node has eight under it; level 0 is the chunks. */
#define REGION_FAN_SHIFT 3
#define REGION_FAN ((size_t)1 << REGION_FAN_SHIFT)
#define REGION_LEVELS 5
#define REGION_TOP (REGION_LEVELS - 1)

static inline size_t region_node_pages(int level)
{
	return CHUNK_PAGES << REGION_FAN_SHIFT * level;
}

struct region {
	uintptr_t start;
	size_t capacity;  /* pages, whole chunks, as the next two */
	size_t pages;     /* reserved */
	size_t committed; /* what is beyond counts as not free */
	int top; /* the lowest level with one node over all that is committed; or REGION_TOP */
	struct summary *levels[REGION_LEVELS];
	struct idle_ages *ages[REGION_LEVELS];
	struct chunk *chunks;
	size_t away;    /* chunks that were decommitted */
	bool huge;      /* the kernel may use huge pages here, */
	bool once_huge; /* or might once, and some may be left */
	/* Since it may no longer: pages below look_end were to be looked at, those below looked
	 * were. */
	size_t looked;
	size_t look_end;
};

struct page_counts {
	size_t dirty;
	size_t lazy;
	size_t clean; /* fresh ones included */
	size_t fresh;
};

/* Bytes of metadata for so many pages, and what of it is touched at most once committed. */
size_t region_metadata_bytes(size_t pages);
size_t region_touched_bytes(size_t committed);

/* metadata: zeroed, page-aligned.  Nothing is reserved yet. */
void region_init(struct region *region, void *start, size_t capacity, void *metadata);

/* So many more pages, whole chunks, were committed: they are fresh. */
void region_grow(struct region *region, size_t pages);

static inline size_t region_page(const struct region *region, uintptr_t address)
{
	return (address - region->start) >> PAGE_SHIFT;
}

static inline uintptr_t region_address(const struct region *region, size_t page)
{
	return region->start + (page << PAGE_SHIFT);
}

/* First page of the lowest run of at least so many free pages of that kind, or SIZE_MAX. */
size_t region_find(const struct region *region, enum run_kind kind, size_t pages);

/* The same for dirty pages, of one chunk; gives up after a look at some chunks. */
size_t region_find_dirty(const struct region *region, size_t pages);

/* Free pages at the very end of what is committed. */
size_t region_free_at_end(const struct region *region);

/* Whether all of the chunk that a page lies in is free. */
bool region_chunk_is_free(const struct region *region, size_t page);
/* Whether nothing of it is resident. */
bool region_chunk_is_void(const struct region *region, size_t page);
static inline struct chunk *region_chunk(const struct region *region, size_t page)
{
	return &region->chunks[page / CHUNK_PAGES];
}
bool region_is_free(const struct region *region, size_t page, size_t pages);
bool region_is_any_free(const struct region *region, size_t page, size_t pages);
struct page_counts region_count(const struct region *region, size_t page, size_t pages);

/* Free pages become a span's. */
void region_take(struct region *region, size_t page, size_t pages);

/* A span's pages become free: dirty, or clean where clean_mask (of the first 64) says so. */
void region_give(
	struct region *region, size_t page, size_t pages, uint64_t clean_mask, uint64_t now_ns);

/* Dirty pages are clean, or fresh, from now on. */
void region_blank(struct region *region, size_t page, size_t pages, bool fresh);

/* Free pages go in transit, and come back as they were (0), lazy, or clean. */
enum region_state { REGION_AS_BEFORE, REGION_LAZY, REGION_CLEAN };

void region_hold(struct region *region, size_t page, size_t pages);
void region_release(struct region *region, size_t page, size_t pages, enum region_state state);

/* The chunk that a page lies in may be a huge page from now on, or no longer. */
void region_set_huge(struct region *region, size_t page, bool huge);

/* Of some pages of a chunk, 1 bit each, the free and clean ones go in transit: how many; pages:
 * which.  They come back clean or, those that are resident, dirty: how many of these. */
size_t region_hold_clean(struct region *region, size_t page, uint64_t pages[CHUNK_WORDS]);
size_t region_release_clean(struct region *region, size_t page, const uint64_t held[CHUNK_WORDS],
	const uint64_t resident[CHUNK_WORDS]);

/* Free pages that were lazy or clean are dirty from now on: how many of each there were. */
struct page_counts region_soil(struct region *region, size_t page, size_t pages);

/* The size by which reuse.h counts pages of the chunk that a page lies in. */
enum run_class region_run_class(const struct region *region, size_t page);

/* Free pages of a word of a chunk that were in use once. */
size_t region_used_once(const struct chunk *chunk, size_t word);

/* NULL = the summaries are those of the bits. */
const char *region_check_summaries(const struct region *region);

/* NULL = all invariants hold, while nothing is in transit.  Adds what it counted. */
const char *region_check(
	const struct region *region, struct page_counts *counts, size_t *allocated);

#endif
