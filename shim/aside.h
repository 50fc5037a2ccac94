#ifndef SHIM_ASIDE_H
#define SHIM_ASIDE_H

/*
 * The scavenger's thread steps aside (worker.h) for system calls that act on the calling thread
 * alone: those that a thread of ours would make fail, and those that it would escape from.
 *
 *	unshare, setns		CLONE_NEWUSER and others are EINVAL beside a second thread; and the
 *				thread would stay in the old namespaces
 *	seccomp, landlock	the thread would stay outside of the filter
 *	capset, prctl		the thread would keep the capabilities, the securebits, or the
 *				right to gain privileges that the caller drops
 *
 * They are seen where they enter libc: unshare, setns, capset, prctl, and syscall, by which
 * libseccomp and others make them.  Each of these names is exported and goes on to the next
 * library's.  A program that makes such a call by an instruction of its own is not seen.
 *
 * Before a filter is put on, the heap is told (os_sandbox_enter in os.h), so that from then on it
 * calls only what glibc's malloc calls; it is told again if that failed.
 *
 * The setuid family needs none of this: libc runs it in every thread that pthread_create made.
 *
 * All of it may be called in a signal handler and in the child of a vfork; errno is the call's.
 */

/* Finds the next library's functions; by the constructor.  Before, the kernel is called directly.
 */
void aside_init(void);

#endif
