#ifndef TESTS_SUPPORT_FAKE_OS_H
#define TESTS_SUPPORT_FAKE_OS_H

#include "shim/heap/base/os.h"

#include <stdatomic.h>

/*
 * shim/os_linux.c with a hand on it: the calls that can fail are counted, and
 * one of them can be refused.  Set the knobs while no other thread is in the heap.
 */
enum fake_os_call { FAKE_OS_ADVISE, FAKE_OS_COMMIT, FAKE_OS_FENCE };

struct fake_os {
	/* os_reserve(_at), os_(de)commit, os_map and what changes that, and os_advise so far */
	_Atomic uint64_t calls;
	_Atomic uint64_t refuse_at;   /* the calls-th of them fails, the first being 1; 0 = none */
	_Atomic bool refuse_all_from; /* and so do all after it */
	_Atomic bool refuse_advice;   /* every OS_FREE and OS_DONTNEED fails */
	_Atomic bool refuse_moves;    /* no os_move_pages here */
	_Atomic bool occupied;        /* something lies wherever os_reserve_at is to reserve */
	_Atomic bool refuse_fence;    /* no os_fence_threads here */
	_Atomic bool skip_fence;      /* it claims to have fenced and has not */
	_Atomic uint64_t fences;      /* asked for */
	_Atomic uint64_t waits;       /* os_wait */
	_Atomic size_t reserve_bytes_max;     /* larger reservations fail; 0 = no limit */
	_Atomic uint64_t advised[OS_ADVICES]; /* calls by advice */
	_Atomic uint64_t now_ahead_ns;        /* the clock runs ahead by so much */
	/* And stands here but for that; 0: it goes, as it must where threads meet at locks. */
	_Atomic uint64_t now_stands_ns;
	/* os_cpu_ns says this and a little more each time, and advice and touching have a price;
	 * 0: what the calling thread really took. */
	_Atomic uint64_t cpu_ns;
	/* What the heap's own work costs besides, by a test's count of it: so much so far. */
	uint64_t (*_Atomic work_ns)(void);
	_Atomic size_t page_bytes; /* what os_page_bytes says; 0 = the truth */
	_Atomic bool huge_pages;   /* os_has_huge_pages says so; none are used */
	/* Sees each advice that is not refused, before the kernel does. */
	void (*_Atomic watch)(const struct os_range *ranges, size_t count, enum os_advice advice);
	/* What happens while the kernel is at it, before it does it; advice: for this and more. */
	void (*_Atomic meanwhile)(enum fake_os_call call, const void *start);
};

extern struct fake_os fake_os;

/* What the fake clock of the CPU is charged: about what scavenge_costs_first says. */
#define FAKE_OS_READ_CPU_NS 50U     /* reading it: for whatever was done since */
#define FAKE_OS_ADVISE_CPU_NS 1000U /* a call */
#define FAKE_OS_PAGE_CPU_NS 250U    /* and each page of it */
#define FAKE_OS_TOUCH_CPU_NS 1600U  /* each page that is touched */

/* Unmaps all that was reserved, while nobody uses it; false: there was more than is remembered. */
bool fake_os_unmap(void);

#endif
