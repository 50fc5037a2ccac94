#ifndef SHIM_HEAP_FRONT_HEAP_H
#define SHIM_HEAP_FRONT_HEAP_H

#include "shim/figures.h"
#include "shim/heap/scavenge/scavenge.h"

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
 *	      class 1   ...   class 99			slabs with free bits, a lock
 *	         |               |			per class (central.h, span.h)
 *	         +-------+-------+---- large blocks	whole pages (large.h)
 *	                 |   spans
 *	             page heap				runs of pages, first fit by
 *	                 |				address (page_heap.h)
 *	              regions				reserved address space and
 *	                 |				three bits a page (region.h)
 *	              kernel				os.h
 *
 * In folders, each of which includes what stands below it and nothing above:
 *
 *	front		malloc and free, large blocks, the table of locks
 *	scavenge	all that gives back: levels, background, policies, hunting
 *	caches		thread caches, their owners and thieves, batches between them
 *	slabs		size classes' slabs, holes in them
 *	pages		page heap, regions, page map, ages, huge pages, mappings
 *	base		bits, locks, metadata, size classes, hooks, os.h
 *
 * There is one heap in a process.  Its state lies with the folder whose it is, as static variables
 * and the locks that guard them, and not in one struct: that would have to be known below the
 * folders whose parts it holds, and a pointer to it would cost a register in every function on the
 * way.  What all folders have in common are two lists: locks.h for fork, figures.h for statistics.
 *
 * Words, one meaning each:
 *
 *	span		a run of pages that is one block, or a slab of slots
 *	dirty		an idle page that is resident
 *	lazy		an idle page after MADV_FREE: charged until the kernel takes it
 *	clean		an idle page that is not resident; zero when touched
 *	fresh		clean, and never touched
 *	warm		dirty or lazy; cold: to be faulted in
 *	void		of a chunk: no page of it is in use or resident
 *	away		of a chunk: void, and not committed (page_reserve.h)
 *	hole		pages of a live slab that were given back
 *	in transit	held by a scavenger while the kernel is advised
 *	mark, trial	a bin's mark lies over the slots that are on trial: what nobody took from
 *			under it goes back (cache.h); a slab's idle pages are put on trial alike
 *	hunt		a search for pages to give back, over one or more calls
 *	pass		one bounded piece of giving back: heap_scavenge
 *	step		of the background: some passes and a pause, heap_background
 *
 * A block's way.  malloc(100) finds class 7, slots of 112 bytes, in a table and
 * pops a slot from its thread's cache: 21 instructions (heap_fast.h).  An empty
 * bin takes a batch that another cache left (transfer.h), or asks its class for one; the
 * class cuts it out of its lowest slab that has free slots, or takes a new slab from
 * the page heap; the page heap gives the lowest run that is resident still, else the lowest
 * at all, or commits more of its region.  free(p) reads p's entry in the page map
 * (page_map.h), which names the class, multiplies to see that a slot begins at p,
 * and pushes it to the cache of the thread that frees, whoever allocated it: 36
 * instructions.  A full bin leaves its coldest batch to other caches, or
 * sends it back to the class, where the slots' bits are set again, and a slab that has
 * all of them goes back to the page heap.  There are no arenas and no owners of slabs: what
 * one thread frees every other can have next, and a dead thread's memory is nobody's.
 *
 * Blocks over 128 KiB are runs of pages of their own.  Those of up to 1 MiB are kept by caches like
 * slots when they are freed, with their record and their entry in the page map (cache.h).
 * Those of 256 MiB and more are mappings of their own, which the kernel refuses when they are
 * more than the machine has (mapped.h).  Up to 400 bytes no slot lies over two pages, so
 * that one block which lives on keeps one page; above that slots of most classes may, so that
 * no size wastes more than an eighth (size_class.h).
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
 * A page is resident only after the gate had a say; see gate_set.
 */

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

/* figures.h says what each is. */
struct heap_stats {
	FIGURES_OF_HEAP(FIGURE_MEMBER)
};

void heap_stats_read(struct heap_stats *stats);

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
