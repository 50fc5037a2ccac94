#ifndef SHIM_FIGURES_H
#define SHIM_FIGURES_H

/*
 * The list of the figures that a process keeps of its heap.
 *
 * Each figure is a row of FIGURES below, WAY(name, kind, attribute).  All are uint64_t.  The way
 * says which structs have it as a member:
 *
 *	HEAP	struct heap_stats (heap/front/heap.h)
 *	PUBLIC	that, and struct spillway_stats for the program (spillway.h)
 *	LINKED	both, and struct link_slot for the supervisor (protocol.h)
 *	SLOT	struct link_slot alone: the gate counts there (gate.c)
 *
 * The kind says how the supervisor puts several processes together, enum figure_kind.  The
 * attribute is the figure's name in malloc_info; NULL: it is not printed there.
 *
 * Made of the rows are the members of heap_stats and link_slot, the copies to the slot (link.c)
 * and to spillway_stats (spillway.c), the supervisor's reading and summing (link_figures.c), and
 * malloc_info's attributes (report.c).  So a new figure is one row, and the line that counts it:
 * in heap_stats_read, or for SLOT in the slot.
 *
 * Two of the structs are shared with programs that may be older or newer:
 *
 *   - The LINKED and SLOT rows in their order are the members of struct link_slot.  A new one
 *     goes below all of them and takes reserved bytes, where an older library leaves 0.
 *   - struct spillway_stats is written out, since spillway.h is installed alone.  A PUBLIC or
 *     LINKED figure needs a member at its end as well; spillway.c does not compile without.
 *
 * malloc_stats and what the supervisor logs are text for people, and written out.
 */

enum figure_kind {
	FIGURE_LEVEL,  /* as it is now; the sum of those that live */
	FIGURE_TOTAL,  /* only rises; the sum of those that live and of those that are gone */
	FIGURE_HIGHEST /* a sum means nothing: the highest of those that live */
};

/* Given back, by what made it go (enum heap_cause): at calm, when the heap grew near the wall,
 * and at the levels.  A page that goes lazy and later clean counts both times. */
#define FIGURES_RELEASED(F) \
	F(released_background_bytes, TOTAL, "released_background") \
	F(released_growth_bytes, TOTAL, "released_growth") \
	F(released_lazy_bytes, TOTAL, "released_lazy") \
	F(released_eager_bytes, TOTAL, "released_eager") \
	F(released_full_bytes, TOTAL, "released_full")

#define FIGURES(HEAP, PUBLIC, LINKED, SLOT) \
	/* Bytes, pages whole: in_use + idle_dirty + lazy + clean + metadata. */ \
	PUBLIC(mapped_bytes, LEVEL, NULL) \
	/* In spans handed out or cut into slots, free slots and mapped blocks included. */ \
	LINKED(in_use_bytes, LEVEL, "in_use") \
	/* Of these, in free slots and whatever caches keep. */ \
	PUBLIC(free_slot_bytes, LEVEL, "free_slots") \
	/* Idle and resident. */ \
	LINKED(idle_dirty_bytes, LEVEL, "idle_dirty") \
	/* Idle, and the kernel's to take. */ \
	LINKED(lazy_bytes, LEVEL, "lazy") \
	/* Not resident; holes in slabs and what was never touched included. */ \
	LINKED(clean_bytes, LEVEL, "clean") \
	LINKED(metadata_bytes, LEVEL, "metadata") \
	/* What the process waits for at the gate; 0 = it does not wait. */ \
	SLOT(wants_bytes, LEVEL, NULL) \
	/* Live; exact while no other thread is in the heap. */ \
	HEAP(blocks, LEVEL, NULL) \
	HEAP(large_blocks, LEVEL, NULL) \
	HEAP(large_bytes, LEVEL, NULL) \
	HEAP(peak_in_use_bytes, HIGHEST, NULL) \
	FIGURES_RELEASED(LINKED) \
	LINKED(advise_calls, TOTAL, "advise_calls") \
	LINKED(advise_ns, TOTAL, "advise_ns") \
	/* Clean bytes handed out again. */ \
	LINKED(refault_bytes, TOTAL, "refault") \
	/* How often the process waited at the gate, how often in vain, and how long in all. */ \
	SLOT(gate_waits, TOTAL, NULL) \
	SLOT(gate_timeouts, TOTAL, NULL) \
	SLOT(gate_wait_ns, TOTAL, NULL) \
	/* Of refault_bytes, what was really touched: from samples of such ranges, looked at with \
	 * mincore a second later (refault.h). */ \
	LINKED(refault_touched_bytes, TOTAL, "refault_touched") \
	/* The policy's own score: given back and handed out again sooner than the break-even, and \
	 * kept idle for longer than it. */ \
	LINKED(regret_release_bytes, TOTAL, "regret_release") \
	LINKED(regret_hold_bytes, TOTAL, "regret_hold") \
	/* For how long keeping an idle page costs less than giving it back and faulting it in. */ \
	LINKED(break_even_ns, HIGHEST, "break_even_ns") \
	/* What scavenging at calm took of its thread's CPU. */ \
	LINKED(background_cpu_ns, TOTAL, "background_cpu_ns") \
	/* Measured on this machine, ns a page of 4 KiB; the last: of one that comes with a huge \
	 * page, 0 = none does. */ \
	HEAP(free_page_ns, HIGHEST, NULL) \
	HEAP(dontneed_page_ns, HIGHEST, NULL) \
	HEAP(refault_page_ns, HIGHEST, NULL) \
	HEAP(refault_huge_page_ns, HIGHEST, NULL) \
	/* Chunks that may be huge pages; how many were broken, and how many of these the kernel \
	 * filled again. */ \
	HEAP(huge_bytes, LEVEL, NULL) \
	HEAP(huge_broken, TOTAL, NULL) \
	HEAP(huge_filled, TOTAL, NULL) \
	/* What threads waited for the heap's locks, all together and at most at once. */ \
	HEAP(lock_waits, TOTAL, "lock_waits") \
	HEAP(lock_wait_ns, TOTAL, "lock_wait_ns") \
	HEAP(lock_wait_max_ns, HIGHEST, "lock_wait_max_ns") \
	/* free_slot_bytes above, which was public before it was linked: a row keeps its place. */ \
	SLOT(free_slots_bytes, LEVEL, NULL) \
	/* refault_page_ns above, likewise. */ \
	SLOT(fault_page_ns, HIGHEST, NULL) \
	/* Credit that was taken at the gate, and whose pages have been made resident since. */ \
	SLOT(populated_bytes, TOTAL, NULL)

/* The rows of one struct, or of what goes from one to another, for a macro that takes a row. */
#define FIGURES_OF_HEAP(F) FIGURES(F, F, F, FIGURE_NOT)
#define FIGURES_OF_SLOT(F) FIGURES(FIGURE_NOT, FIGURE_NOT, F, F)
#define FIGURES_PUBLIC(F) FIGURES(FIGURE_NOT, F, F, FIGURE_NOT)
#define FIGURES_LINKED(F) FIGURES(FIGURE_NOT, FIGURE_NOT, F, FIGURE_NOT)

#define FIGURE_NOT(name, kind, attribute)
#define FIGURE_MEMBER(name, kind, attribute) uint64_t name;
/* Of rows such as FIGURES_OF_HEAP. */
#define FIGURES_BYTES(ROWS) sizeof(struct {ROWS(FIGURE_MEMBER)})

#endif
