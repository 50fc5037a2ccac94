#ifndef SHIM_FAMILY_H
#define SHIM_FAMILY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What processes without a supervisor tell each other, if they were forked from one another.
 *
 * The files of a cgroup say how much all its processes use, not that one of them waits for memory
 * at the gate.  A sibling that polls the files notices that after some hundred milliseconds.
 * Processes that were forked from one program (prefork workers and their master) share one page
 * instead: who waits writes the need into its row and wakes the others, and who has given memory
 * back wakes those who wait.  The page is mapped before the first fork and costs a process that
 * never forks nothing.  It does not survive exec.  Processes without it poll, as before.
 *
 *	row	one per process, by its pid; two that fall on one row overwrite each other, and
 *		one of them is then served as late as without the page
 *	wall	for which memory it waits: an id of the limit that is in its way (cgroup.h).  Needs
 *		for other walls are not counted, since a worker may be moved to another cgroup
 *	word	a futex.  The thread of alone.h sleeps on it with two bits: one of its own, by
 *		which its process wakes it, and one of its wall, by which siblings do.  It changes
 *		with every notification in the family, so that a change alone is no reason to look:
 *		limit_notified and family_calls say whether one was meant for this process
 *
 * A need counts for FAMILY_NEED_MS.  Whoever still waits says it again with each look, so that the
 * need of a process that was killed does not stay.
 *
 * Trust: the page is writable for all processes of the family, whatever user they run as now.
 * What stands there can wake a sibling and make it give idle memory back; it grants nothing.
 */

#define FAMILY_NEED_MS 200U

/* In the parent, before fork; maps the page the first time.  Async-signal-safe. */
void family_fork_prepare(void);

/* NULL: this process shares no page. */
_Atomic uint32_t *family_word(void);
uint32_t family_bits_own(void);
uint32_t family_bits_wall(uint64_t wall);

/* This process waits for so much below that wall; 0: no longer.  Wakes nobody. */
void family_need_set(uint64_t wall, uint64_t bytes, uint64_t now_ns);
/* The sum of what the others wait for below that wall; 0 without a page. */
uint64_t family_needs(uint64_t wall, uint64_t now_ns);
/* Wakes the threads of all processes below that wall. */
void family_wake(uint64_t wall);
/* How often family_wake was called for that wall; 0 without a page. */
uint32_t family_calls(uint64_t wall);

#endif
