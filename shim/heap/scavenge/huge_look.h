#ifndef SHIM_HEAP_SCAVENGE_HUGE_LOOK_H
#define SHIM_HEAP_SCAVENGE_HUGE_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Has the kernel back the heap by huge pages of 2 MiB, where it has them (huge.h): fewer
 * faults and TLB misses, more memory.  Once, at the start, before anything was given
 * back and while no other thread is in the heap; without it the heap has none.
 */
void huge_use(bool use);

/* Looks for what khugepaged filled (huge.h), when it is time for that.  No lock is held. */
void huge_look(uint64_t now_ns);

/* Until that is; UINT64_MAX: never. */
uint64_t huge_pause_ns(uint64_t now_ns);

/* In the child of a fork. */
void huge_after_fork(void);

#endif
