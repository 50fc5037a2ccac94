#ifndef SHIM_TRIM_H
#define SHIM_TRIM_H

#include <stdbool.h>
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

/*
 * What a forked process finds idle of the memory that it inherited is its parent's as well.  To
 * write to it again costs a page of the process's own, as a fresh one does, and no gate is asked,
 * since to the heap it is resident.  So below a limit it is given back as soon as it is idle, at no
 * cost that would not come at the process's end: then it is clean, and the gate is asked.
 *
 * trim_fork_child: in the child, which inherits nothing to look after unless is_limited.
 * trim_inherited: gives back what is idle by now, at most as trim_before_fork; no lock of the heap
 * held, though it may be inside.  True: more of what was inherited may become idle.
 */
void trim_fork_child(bool is_limited);
bool trim_inherited(void);

#endif
