#ifndef SHIM_TRIM_H
#define SHIM_TRIM_H

#include <stddef.h>
#include <stdint.h>

/* Giving back in the calling thread. */

/* All that is idle, at full: the bytes.  Others may free all the time; what was idle at first is
 * the most that is given back. */
uint64_t trim_full(size_t cushion_bytes);

/*
 * First thing before a fork, no lock held.  While eager or more is in force idle
 * pages go before they are shared: parent and child would write to them again and
 * each pay for its own.  At most TRIM_FORK_BYTES, and about TRIM_FORK_NS of
 * the thread's CPU time.
 *
 * A fork in a signal's handler that interrupted the heap gives nothing back.
 */
#define TRIM_FORK_BYTES ((uint64_t)64 * 1024 * 1024)
#define TRIM_FORK_NS ((uint64_t)10000000)

void trim_before_fork(void);

#endif
