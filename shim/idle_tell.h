#ifndef SHIM_IDLE_TELL_H
#define SHIM_IDLE_TELL_H

#include <stdbool.h>

/*
 * Near the wall the supervisor is told at once what a heap has freed.
 *
 * A slot shows what idled when the scavenger's thread last did something.  What a burst leaves is
 * not in it, so nobody would be asked for it until another process has used up its credit and waits
 * at the gate.  While eager or more is in force a heap therefore publishes its slot and notifies
 * the supervisor when IDLE_TELL_BYTES more idle than the slot shows.  A heap that frees and takes
 * the same memory over and over tells of it once.
 */

/* By the scavenger's thread, after each of its steps and, with false, at its end. */
void idle_tell_watch(bool is_near);
/* By worker_attend: enough was freed since the last call, by any thread. */
void idle_tell(void);
/* In a forked child. */
void idle_tell_fork_child(void);

#endif
