#ifndef SHIM_HEAP_BASE_TRANSIT_H
#define SHIM_HEAP_BASE_TRANSIT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Who is advising ranges right now, with no lock held.  A fork must not happen
 * meanwhile: the child would never get those ranges back.
 *
 * No more warm pages are in one transit than TRANSIT_PAGES_MAX, since a thread that maps or unmaps
 * waits in the kernel while they are advised; whole chunks aside.  When somebody waits for what a
 * release gives back, it may have TRANSIT_PAGES_ASKED, which take some milliseconds.  Where
 * more threads run than there are CPUs a thread loses its CPU at the end of a system call, so that
 * a release of many calls ends as much later.
 *
 * transit_begin refuses while somebody called for a stop; the caller then
 * leaves the rest for a later pass.
 */
#define TRANSIT_PAGES_MAX ((size_t)256)
#define TRANSIT_PAGES_ASKED ((size_t)16384)

bool transit_begin(void);
void transit_end(void);

/*
 * After it no transit of another thread runs and none begins until transit_resume.
 *
 * inside: the calling thread holds a lock of the heap, since it forks in a signal handler that
 * interrupted it there.  A transit that waits for this lock never ends, so that it is waited for
 * TRANSIT_WAITS_INSIDE ms only; what it has is in use for ever in the child then.
 */
#define TRANSIT_WAITS_INSIDE 16U
void transit_stop(bool inside);
void transit_resume(void);

/* In the child of a fork: exactly one stop, the forking thread's, is in force. */
void transit_after_fork(void);

/* Waits for a transit of another thread to end; false where none runs. */
bool transit_wait(void);

#endif
