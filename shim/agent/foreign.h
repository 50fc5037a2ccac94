#ifndef SHIM_AGENT_FOREIGN_H
#define SHIM_AGENT_FOREIGN_H

#include "shim/protocol.h"

/*
 * libspillway-agent.so: the shim without its heap.
 *
 * The agent consists of the same objects as libspillway.so: the link and its slot, the thread, the
 * levels and requests, and what does without a supervisor.  They know the heap by a few functions
 * only: heap_stats_read, heap_scavenge, heap_background and heap_tune, and some that ask after its
 * locks and its use.  foreign.c has all of these, on top of the allocators that the program brings
 * along (allocator.h), where libspillway.so has the archive of shim/heap.  It defines no malloc.
 *
 * What cannot be had without being malloc:
 *
 *   - the growth gate: nobody asks before pages become resident.  The levels are all there is, and
 *     the brake.  The thread sees growth when it looks next, at lazy and above up to ten times a
 *     second, and tells the supervisor then, or its own limit's thread;
 *   - a thread that begins only when the heap has grown: it begins with the process, and in the
 *     child of a fork again;
 *   - sleeping until the heap is used again: the thread looks at the process's CPU time instead,
 *     once a second while it rises, and down to once a minute while it does not.
 *
 * Threads that allocate wait for the allocator's locks while it gives back.  So passes at the pace
 * of a level are followed by a pause of PAUSE_FACTOR times what the pass took, longer where it
 * brought little, and figures that stall are read as seldom.  A request of the supervisor or the
 * operator is one pass, at once.
 */

/* By the constructor, once.  Which allocator was found. */
enum link_allocator foreign_init(char **environment);
/* In a forked child. */
void foreign_fork_child(void);

#endif
