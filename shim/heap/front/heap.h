#ifndef SHIM_HEAP_FRONT_HEAP_H
#define SHIM_HEAP_FRONT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The heap's public face.  Every function may be called by any thread at any
 * time, also before libc is ready; none calls libc, touches errno, or waits on
 * anything but the heap's own locks and the gate.
 *
 * The picture, from the thread down to the kernel:
 *
 *	thread         thread         thread		a cache each: free slots by
 *	  |  cache       |  cache       |  cache	size class (cache.h)
 *	  +------+-------+-------+------+
 *	         |  batches      |
 *	      class 1   ...   class 98			slabs with free bits, a lock
 *	         |               |			per class (central.h, span.h)
 *	         +-------+-------+---- large blocks	whole pages (large.h)
 *	                 |   spans
 *	             page heap				runs of pages, first fit by
 *	                 |				address (page_heap.h)
 *	              regions				reserved address space and
 *	                 |				three bits a page (region.h)
 *	              kernel				os.h
 *
 * A block's way.  malloc(100) finds class 7, slots of 112 bytes, in a table and
 * pops a slot from its thread's cache: 21 instructions (heap_fast.h).  An empty
 * bin asks its class for a batch; the class cuts it out of its lowest slab that
 * has free slots, or takes a new slab of 8 pages from the page heap; the page
 * heap gives the lowest run that is resident still, else the lowest at all, or
 * commits more of its region.  free(p) reads p's entry in the page map
 * (page_map.h), which names the class, multiplies to see that a slot begins at p,
 * and pushes it to the cache of the thread that frees, whoever allocated it: 36
 * instructions.  A full bin sends its coldest batch back to the class, where
 * the slots' bits are set again, and a slab that has all of them goes back to the
 * page heap.  There are no arenas and no owners of slabs: what one thread frees
 * every other can have next, and a dead thread's memory is nobody's.
 *
 * Blocks over 128 KiB are runs of pages of their own, those of 256 MiB and more mappings of their
 * own, which the kernel refuses when they are more than the machine has (mapped.h).  Up to 400
 * bytes no slot lies over two pages, so that one block which lives on keeps one page; above
 * that slots of most classes may, so that no size wastes more than an eighth (size_class.h).
 *
 * What makes this heap give memory back, where others keep it:
 *
 *   - Nothing about free memory is written into free memory.  Bits, counts and
 *     links live in metadata, so any free page may vanish at any time.
 *   - An idle page is dirty (resident), lazy (MADV_FREEd) or clean (gone), and
 *     the page heap knows which.  Reuse takes dirty and lazy pages first.
 *   - Allocation goes to the lowest address, giving back starts at the highest,
 *     for pages and for slabs, so that high ground empties.
 *   - Everything can be reached by whoever scavenges: the caches of parked
 *     threads (cache_owner.h) and the free pages inside part-used slabs
 *     (holes.h).
 *   - No lock that an allocating thread takes is held while the kernel works.
 *     A range on its way is "in transit": marked allocated, so that nobody else
 *     takes it (transit.h).
 *
 * What is wrong is told where the bits show it for nothing: every free looks
 * whether a slot begins there and whether it is the one freed last, and a slot
 * that is back at its slab twice is seen by its bit.  One line, then abort.
 *
 * A page is resident only after the gate had a say; see heap_set_gate.
 *
 * Levels have the numbers of the link.
 */

enum heap_level { HEAP_CALM, HEAP_LAZY, HEAP_EAGER, HEAP_FULL, HEAP_LEVELS };

/* Alignment of every block of 16 bytes or more; smaller ones are aligned to their size. */
#define HEAP_ALIGNMENT 16

/* NULL when memory is out or the size is over PTRDIFF_MAX.  A size of 0 gives a block of its own.
 */
void *heap_malloc(size_t size);
void *heap_calloc(size_t count, size_t size);
/* alignment: a power of two, checked by the caller. */
void *heap_memalign(size_t alignment, size_t size);
/* ptr NULL: as heap_malloc.  size 0: a block of its own, ptr is freed.  NULL: ptr is untouched. */
void *heap_realloc(void *ptr, size_t size);
/* ptr NULL: nothing.  A pointer that is not a live block: one line on stderr, abort. */
void heap_free(void *ptr);
/* What the block can hold, at least what was asked for; ptr NULL: 0. */
size_t heap_usable_size(const void *ptr);

/*
 * The gate: called with no lock held before pages become resident (fresh ones
 * and clean ones, not dirty or lazy ones) with how many bytes that will be.
 * It may take its time, release memory of this same heap, and never refuses.
 * True asks the heap to populate the range at once, so that near the wall what
 * was granted is charged and memory.current tells the truth.  NULL = no gate.
 */
void heap_set_gate(bool (*gate)(size_t bytes));

/*
 * Has the kernel back the heap by huge pages of 2 MiB, where it has them (huge.h): fewer
 * faults and TLB misses, more memory.  Once, at the start, before anything was given
 * back and while no other thread is in the heap; without it the heap has none.
 */
void heap_use_huge_pages(bool use);

/*
 * One bounded piece of giving back: at most max_bytes are advised (and less than a
 * huge page more, where there are such), no lock is held over a system call.  cushion_bytes of idle
 * dirty memory are kept (0 at full); only pages that idled since before idle_before_ns go
 * (UINT64_MAX: any).
 *
 * Free slots are pages only once they are out of the caches and all free slots
 * of their page are together: caches and slabs that nobody used since before
 * slabs_idle_before_ns (0: never) are emptied, as is of those in use what was not
 * needed (cache.h), and from eager on holes are made where pages idled (holes.h).  full
 * does that with all of them.
 *
 * Several threads may do this at once; one in the background then leaves it to
 * the others, whom it would only keep waiting with a lock in hand.  calm does
 * what lazy does.
 */
struct hunt_ages;

/* Where in the heap a search over several passes is.  Zeros: at its beginning, or its end. */
struct heap_place {
	uintptr_t below;
	unsigned turn;
	bool tired; /* the last pass had looked at so much that it left the rest to the next one */
};

/*
 * Passes that belong together.  The first empties caches and slabs, the others leave
 * them alone, so that what a request costs the threads that allocate does not grow with its bytes.
 * Once nothing is left and something went, one more pass empties them again, for what came
 * back meanwhile.  All zero before the first pass.
 */
struct heap_request {
	uint32_t drains;
	bool drained;        /* nothing is to be emptied by the next pass */
	uint64_t gone_bytes; /* since they were */
};

struct heap_pass {
	enum heap_level level;
	uint64_t max_bytes;
	uint64_t cushion_bytes;
	uint64_t idle_before_ns; /* of os_now_ns() */
	uint64_t slabs_idle_before_ns;
	/* NULL: every pass stands for itself. */
	struct heap_request *request;
	/* For the background: by size of run instead of idle_before_ns, and no holes. */
	const struct hunt_ages *ages;
	bool without_holes;
	struct heap_place
		*place; /* go on there, and say how far it was; NULL: from the beginning */
	/* Out: */
	uint64_t lazy_bytes;  /* went from dirty to lazy */
	uint64_t clean_bytes; /* went from dirty or lazy to not resident */
	bool more;            /* there is more to do at this level */
};

/* What made the heap give back; the index of heap_stats.released_bytes. */
enum heap_cause {
	HEAP_BACKGROUND,
	HEAP_GROWTH,
	HEAP_BY_LAZY,
	HEAP_BY_EAGER,
	HEAP_BY_FULL,
	HEAP_CAUSES
};

void heap_scavenge(struct heap_pass *pass, enum heap_cause cause);

/*
 * Scavenging at calm.  A policy (scavenge_policy.h) decides what idled for long
 * enough; how each of them does that is told there.
 */
enum heap_policy {
	HEAP_ADAPTIVE,
	HEAP_OFF,
	HEAP_GO1_11,
	HEAP_GO1_12,
	HEAP_GO1_13,
	HEAP_DECAY,
	HEAP_POLICIES
};

struct heap_tuning {
	enum heap_policy policy;
	bool dontneed_only;    /* MADV_DONTNEED where the policy would use MADV_FREE */
	uint32_t cpu_permille; /* of one CPU over any ten seconds; 1 to 1000 */
	uint64_t price_ns;     /* keeping one idle page for one second, in ns of CPU time; not 0 */
};

/* 10 permille of a CPU; 1 GiB of idle memory costs as much as one busy CPU. */
#define HEAP_CPU_PERMILLE 10U
#define HEAP_PRICE_NS 3814U
#define HEAP_PRICE_NS_MAX 10000000U

/* Live: takes effect with the next step.  What is out of bounds becomes the default, a higher price
 * the highest. */
void heap_tune(const struct heap_tuning *now);

/*
 * One step of scavenging at calm, a millisecond of work at most but for what a last
 * pass overruns.  One caller at a time.  When to call again, in nanoseconds from now;
 * HEAP_UNTIL_USED: not before the heap was used again.
 */
#define HEAP_UNTIL_USED UINT64_MAX
uint64_t heap_background(uint64_t now_ns);

/* Bytes, pages whole.  in_use + idle_dirty + lazy + clean + metadata = mapped. */
struct heap_stats {
	uint64_t mapped_bytes;
	/* In spans handed out or cut into slots, free slots and mapped blocks included. */
	uint64_t in_use_bytes;
	uint64_t free_slot_bytes; /* of these, in free slots and thread caches */
	uint64_t idle_dirty_bytes;
	uint64_t lazy_bytes;
	uint64_t clean_bytes; /* holes in slabs and what was never touched included */
	uint64_t metadata_bytes;
	uint64_t blocks; /* live; exact while no other thread is in the heap */
	uint64_t large_blocks;
	uint64_t large_bytes;
	uint64_t peak_in_use_bytes;
	/* A page that goes lazy and later clean counts both times. */
	uint64_t released_bytes[HEAP_CAUSES];
	uint64_t advise_calls;
	uint64_t advise_ns;
	uint64_t refault_bytes; /* clean bytes handed out again */
	/* What of that was really touched: from samples of such ranges, looked at
	 * with mincore a second later (refault.h). */
	uint64_t refault_touched_bytes;
	/* The policy's own score: given back and handed out again sooner than the
	 * break-even, and kept idle for longer than it. */
	uint64_t regret_release_bytes;
	uint64_t regret_hold_bytes;
	uint64_t break_even_ns; /* holding a page costs less than releasing it for so long */
	uint64_t background_cpu_ns;
	/* Measured on this machine, ns a page of 4 KiB. */
	uint64_t free_page_ns;
	uint64_t dontneed_page_ns;
	uint64_t refault_page_ns;
	uint64_t refault_huge_page_ns; /* the same of one that comes with a huge page; 0: none does
					*/
	/* Chunks that may be huge pages; how many were broken, and how many of these the kernel
	 * filled again. */
	uint64_t huge_bytes;
	uint64_t huge_broken;
	uint64_t huge_filled;
	/* What threads waited for the heap's locks, all together and at most at once. */
	uint64_t lock_waits;
	uint64_t lock_wait_ns;
	uint64_t lock_wait_max_ns;
};

void heap_stats_read(struct heap_stats *stats);

/*
 * Called without locks right after a thread got its cache, which is within its
 * first malloc or free: the place to see to it that heap_thread_exit runs when
 * the thread ends.  The hook may use the heap.
 */
void heap_set_cache_hook(void (*hook)(void));

/*
 * Calls the hook once, when so many bytes were freed from now on (freed.h); hook NULL: no more.
 * It is called within free and realloc, maybe with locks of the heap held: it may only take a
 * note.
 */
void heap_set_freed_hook(uint64_t bytes, void (*hook)(void));

/* Gives the calling thread's cache back; called as a thread ends.  The thread
 * may still use the heap, more slowly. */
void heap_thread_exit(void);

/* True: the calling thread, and every one that has no cache yet, does without one, so that
 * heap_fast.h's functions leave all to heap_malloc and heap_free.  For the time before threads. */
void heap_go_without_caches(bool without);

/*
 * Around fork: prepare takes every lock, parent and child drop them.  In a signal
 * handler too: what the handler interrupted goes on in both when it returns; until
 * then the child must not use the heap, as no handler may.
 */
void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void);

/* Whether the calling thread holds a lock of the heap: it is in a signal handler that interrupted
 * the heap, and what takes locks would wait for itself. */
bool heap_is_inside(void);

/* Walks every invariant.  NULL = all hold, else what does not.  For tests: takes every lock. */
const char *heap_check(void);

#endif
