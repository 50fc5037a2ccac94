#ifndef SHIM_TRACE_H
#define SHIM_TRACE_H

#include "shim/trace_format.h"
#include "shim/worker.h"

/*
 * Recording: SPILLWAY_TRACE=FILE has every malloc and free of the process written to
 * FILE.PID (trace_format.h), for the simulator to play.  Threads get no cache then, so that each
 * call comes by the slow paths, and these look at worker_attention anyway: who does
 * not record pays nothing.
 *
 * A free is recorded before it is done and a malloc after, so that a block that goes
 * from one thread to the next is freed first in the file, too; a realloc is done with the
 * recorder's lock held.  Signals are blocked meanwhile.  The buffer goes to the file
 * when it is full, after a second, and at exit.  No descriptor is kept: a
 * program may close them all.
 *
 * A forked child begins a file of its own.  What can't be written (the disk is
 * full, a sandbox came) is told on stderr in a line, and recording stops; the
 * file ends with the last record before that.
 */

/* Once, by the constructor; file: SPILLWAY_TRACE's value or NULL. */
void trace_begin(const char *file);
void trace_fork_child(void);
/* Writes what there is and stops: the program is about to filter its system calls. */
void trace_before_filter(void);
/* At exit. */
void trace_end(void);

/* Where trace_is_on().  They keep errno. */
void trace_made(enum trace_op op, size_t alignment, size_t bytes, const void *block);
void trace_free(const void *block);
/* heap_realloc, recorded. */
void *trace_realloc(void *block, size_t bytes);

static inline bool trace_is_on(void)
{
	return (atomic_load_explicit(&worker_attention, memory_order_relaxed) &
		       WORKER_ATTEND_TRACE) != 0;
}

/* worker_look() after a call that made a block, or none: NULL. */
static inline void trace_look(enum trace_op op, size_t alignment, size_t bytes, const void *block)
{
	if (__builtin_expect(atomic_load_explicit(&worker_attention, memory_order_relaxed) == 0, 1))
		return;
	if (trace_is_on())
		trace_made(op, alignment, bytes, block);
	worker_attend();
}

/* Before a block, or NULL, is freed. */
static inline void trace_look_free(const void *block)
{
	if (__builtin_expect(trace_is_on(), 0))
		trace_free(block);
}

#endif
