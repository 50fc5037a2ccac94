#ifndef SUPERVISOR_PROCESS_VFORK_INTO_H
#define SUPERVISOR_PROCESS_VFORK_INTO_H

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

/*
 * vfork() whose child begins in another cgroup.
 *
 * Parent and child return on one stack, so this must be inlined: a function that the child had left
 * would find its return address overwritten in the parent.  For the same reason the caller's branch
 * for the child does nothing but call a function that is not inlined and does not return.
 *
 * The child, 0 in it, or -errno; -ENOSYS where this machine's calls are not known here, and with a
 * sanitizer, which cannot see that the child's stack frames are gone.
 */
static inline __attribute__((always_inline)) pid_t vfork_into(int cgroup_fd)
{
	struct clone_args arguments = {.flags = CLONE_INTO_CGROUP | CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup_fd};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)arguments;
	return -ENOSYS;
#elif defined(__x86_64__)
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof arguments)
			 : "rcx", "r11", "memory");
	return (pid_t)result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)&arguments;
	register long second __asm__("x1") = (long)sizeof arguments;
	__asm__ volatile("svc 0" : "+r"(first) : "r"(second), "r"(number) : "memory", "cc");
	return (pid_t)first;
#else
	(void)arguments;
	return -ENOSYS;
#endif
}

#endif
