#ifndef SHIM_ALONE_H
#define SHIM_ALONE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A process that no supervisor attends keeps below its limit (limit.h) by itself: a thread reads
 * the cgroup's files, runs the supervisor's policy (supervisor/policy/policy.h) on what it read,
 * with this process as the one service, and puts into force what the plan says.  The level works
 * as the supervisor's does, a release is asked of the scavenger, and credit opens the gate.
 *
 * The thread, "spillway-limit", is there only while there is something to do.  The scavenger's
 * thread starts it
 *
 *	- once, when that thread begins, which a small process never has;
 *	- when the heap has grown past the mark that the last one left: 1/64 of the limit, 1 to 64
 *	  MiB, or NO_LIMIT_MARK where there was no limit.  This is how a limit that is set or
 *	  lowered later is found, too;
 *	- when there is a limit and the heap holds memory that it could give, 2 MiB and 1/256 of
 *	  the limit: others may come to need it;
 *	- when the supervisor is silent for five seconds, if one of these holds: while it is
 *	  there, a heap that holds so much and is at rest looks for it every twenty seconds;
 *	- when the supervisor is silent and something wakes the scavenger's thread: to ask whether
 *	  there is another one by now (link_renew.h).
 *
 * It ends when it has been calm for LINGER_MS and the heap has nothing to give, when there is no
 * limit, and when a supervisor attends the link, which always goes first.  So, of a process that is
 * far from its limit and has given back what idled, nothing ever wakes up.
 *
 * What is promised to others in the cgroup: while a process holds idle memory worth giving, it
 * looks at least twice a second however far the limit is, whether it allocates or sleeps; at or
 * above the lazy level by the policy's own times, down to 10 ms, or every 250 ms while it has
 * nothing to give and nobody waits.  The kernel is not asked for notice: without swap, a PSI
 * trigger and memory.events speak when the OOM killer does (policy.h).  They are read, pressure at
 * most every 250 ms, and raise the level as under a supervisor.
 *
 * Processes that were forked from one another tell each other what they wait for (family.h): the
 * thread of a sibling then looks at once, counts that need beside its own as policy does with two
 * services, and when its release is over it wakes the one who waits.  Others in one cgroup know
 * nothing of each other but what its files say, and look by the times above.  Each hands itself
 * headroom divided by the number of processes there, but what waits at the gate is
 * served whole where it fits, and looks at times that chance moves, so that who looks later
 * finds what the others gave back.  A heap that grows waits at the gate for GATE_WAIT_MS, longer
 * than the longest pause between two looks of a sibling; after a wait that brought nothing, for
 * GATE_WAIT_AGAIN_MS until five seconds without such a wait have passed; and where it is the only
 * process or its own limit is in the way, for GATE_WAIT_SELF_MS.  Then it grows, whatever the
 * limit.
 *
 * A limit of the process's own (a size or share) is never nearer than an eighth beyond what is in
 * use: what cannot be given back must not cost waiting and full releases for ever.
 *
 * The thread has a table of descriptors of its own, empty but for the cgroup's files
 * (close_range, Linux 5.9): the program's numbers are not taken, not even for a moment, closing all
 * of them closes none of ours, and no child inherits one.  Where that cannot be had, or /proc or
 * the cgroup's files cannot be read, only a limit that is a size is kept.  It keeps the
 * promises of worker.h's thread: signals blocked, gone before a call that acts on one thread alone,
 * none after a filter of system calls.  Where no thread can be had there is no soft limit.
 */

/* By the scavenger's thread between its steps: starts the thread where it is wanted.  start makes
 * a thread: 0 or an error number.  When to call again at the latest; UINT64_MAX: no need. */
uint64_t alone_tend(uint64_t now_ns, int (*start)(void *(*run)(void *)));
/* Tells the thread to end; may be repeated. */
void alone_end(void);
/* Whether the thread was started and has not come to its end. */
bool alone_runs(void);
/* The id of the last one that began; 0: none. */
int alone_thread(void);
/* In a forked child, where the thread is not. */
void alone_fork_child(void);

#endif
