#ifndef SHIM_WORKER_H
#define SHIM_WORKER_H

#include "shim/process.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The thread that the scavenger runs in: one per process, "spillway", signals
 * blocked, small stack.
 *
 * Started lazily by pthread_create, so that libc knows it (setuid and the like
 * reach it), once the heap has grown by WORKER_GROWTH_BYTES: small processes
 * never have one.  Growth is noticed at the gate, inside the heap; the thread
 * is made after the allocation has returned, where no lock of ours is held:
 * preload.c looks at worker_attention after each call, one relaxed load.
 *
 * It sleeps on the link's sequence word (on one of its own without a link) and
 * uses no descriptor.  When the heap is clean and was not used for a second it
 * sleeps for ever; the next malloc or free, told so by worker_attention, wakes
 * it.  Without a link that changes the word slept on.  The link's word is the
 * supervisor's, and other processes sleep on it with the same bit where a service has
 * more than 32, so there malloc and free go on waking, once a clock tick, until the thread
 * itself says that it is awake: what could be missed is a last burst of use that fits
 * between the decision to sleep and the sleep, and only until the next use or
 * request.
 *
 * worker_summon can't wait for that next use.  The thread says that it is about to
 * sleep and then looks whether it was summoned; who summons says so, then sees
 * whether the thread is about to sleep, and if so goes on waking until it is seen
 * to be awake.
 *
 * A forked child begins without the thread, unless it inherited WORKER_INHERITED_BYTES of idle
 * pages: it may sleep from now on, and as long as it does its parent's release of the same pages
 * gives nothing back, since they are shared.  Then the thread is made before fork returns, which
 * costs a small part of the fork of such a process.  Any other child is looked at with its
 * first call that leaves the fast paths, and gets thread and slot when WORKER_GROWTH_BYTES could be
 * given back: idle pages, and free slots beyond those that every heap has.  A child that holds
 * less is looked at again after it freed what is missing (freed_set_hook) or grew.  So
 * hundreds of children that hold nothing have no thread, and one that frees what it inherited has
 * it before it sleeps.
 *
 * What the program may expect of the thread:
 *   - it runs with the nice value of the thread that crossed WORKER_GROWTH_BYTES, the ordinary
 *     policy, and on all CPUs that the process was started with;
 *   - setuid and the like reach it, since libc knows it;
 *   - it is gone, from the kernel's view too, before a call that acts on the calling thread alone
 *     (aside.h: unshare, setns, seccomp, landlock, capset, some of prctl) is made through libc.
 *     The caller waits for that, a second at most, mostly some tens of microseconds.  It is made
 *     again, and then has what the call changed, when malloc or free next leave the fast paths;
 *   - after the program has put a filter of system calls on itself there is no thread again: what
 *     the filter lets pass is not known.  See below for who does the work then.
 *
 * Where no thread can be had (RLIMIT_NPROC, seccomp), starting is tried again
 * with growing gaps, and threads that grow or free do the scavenger's steps, which are
 * bounded; a process that only reuses what it has does not hear of a request.  The same holds for
 * good after the main thread has left by pthread_exit: the worker ends then, so that it does not
 * keep alive a process that waits for its last thread.
 */
#define WORKER_GROWTH_BYTES ((uint64_t)2 * 1024 * 1024)
#define WORKER_INHERITED_BYTES ((uint64_t)16 * 1024 * 1024)

/* 0 but for the moments when the next malloc or free should call worker_attend(), and while
 * trace.h records: a bit that stays. */
extern _Atomic uint32_t worker_attention;
#define WORKER_ATTEND_TRACE 16U
#define WORKER_ATTEND_TELL 64U /* idle_tell() */

/* Does what worker_attention asks for; keeps errno. */
void worker_attend(void);

static inline void worker_look(void)
{
	if (__builtin_expect(atomic_load_explicit(&worker_attention, memory_order_relaxed) != 0, 0))
		worker_attend();
}

/* The heap makes so many bytes resident; called at the gate; keeps errno. */
void worker_growth_note(size_t bytes);
/* The sum of these. */
uint64_t worker_grown_bytes(void);
/* process_kind(), having made a copy that no fork handler saw fit to go on by itself. */
enum process_kind worker_process_check(void);
/* In a forked child. */
void worker_fork_child(void);
/* After it, from fork's handler: makes the thread for what was inherited, unless fork was called in
 * a signal handler that interrupted the heap. */
void worker_fork_join(void);
/*
 * Outside of malloc, no lock held: starts the thread where there is none, and makes it
 * look at level and requests anew, at once, whatever it sleeps on.  Where there can be
 * none, the first step is done here.  Keeps errno.
 */
void worker_summon(void);
/* After scavenger_ask(), or when the heap is used again. */
void worker_wake(void);
/*
 * Around a call that acts on the calling thread only.  step_aside ends the thread and keeps it from
 * starting, and says whether it did: false in the child of a vfork, whose memory is its parent's,
 * and in the thread itself.  step_back takes that answer, and whether the call has put a filter of
 * system calls in force; it makes no system call.  Async-signal-safe; both keep errno.
 */
bool worker_step_aside(void);
void worker_step_back(bool stepped, bool is_filtered);
/* By the constructor: no malloc of ours looks at worker_attention.  What would wait for that look
 * after worker_step_back is done there, which then is not async-signal-safe. */
void worker_go_unattended(void);
/* The main thread leaves by pthread_exit. */
void worker_end(void);

#endif
