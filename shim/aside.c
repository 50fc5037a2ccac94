/* libc's entries for calls that change one thread only: the scavenger's thread is ended before. */
#include "shim/aside.h"

#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/symbol.h"
#include "shim/trace.h"
#include "shim/worker.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

/* What the headers declare with other types, or variadic, by types that registers hold. */
long aside_syscall(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");
int aside_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
	unsigned long d) __asm__("prctl");
int aside_unshare(int flags) __asm__("unshare");
int aside_setns(int fd, int type) __asm__("setns");
int aside_capset(void *header, const void *data) __asm__("capset");

static struct {
	long (*syscall)(long number, long a, long b, long c, long d, long e, long f);
	int (*prctl)(
		int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
	int (*unshare)(int flags);
	int (*setns)(int fd, int type);
	int (*capset)(void *header, const void *data);
} next;

void aside_init(void)
{
	*(void **)&next.syscall = symbol_next("syscall");
	*(void **)&next.prctl = symbol_next("prctl");
	*(void **)&next.unshare = symbol_next("unshare");
	*(void **)&next.setns = symbol_next("setns");
	*(void **)&next.capset = symbol_next("capset");
}

/* Before the constructor.  Out of the way of the other calls. */
static __attribute__((noinline)) long kernel_or_errno(
	long number, long a, long b, long c, long d, long e, long f)
{
	long result = kernel_call(number, a, b, c, d, e, f);

	if (!kernel_is_error(result))
		return result;
	errno = (int)-result;
	return -1;
}

static bool prctl_matters(long option)
{
	return option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS ||
	       option == PR_CAPBSET_DROP || option == PR_SET_SECUREBITS || option == PR_CAP_AMBIENT;
}

static bool call_matters(long number, long first)
{
	return number == SYS_unshare || number == SYS_setns || number == SYS_seccomp ||
	       number == SYS_capset || number == SYS_landlock_restrict_self ||
	       (number == SYS_prctl && prctl_matters(first));
}

/* Whether a call can put a filter of system calls on the calling thread.  Programs ask what the
 * kernel can do by filters at NULL and other operations. */
static bool call_filters(long number, long first, long second, long third)
{
	if (number == SYS_seccomp)
		return first == SECCOMP_SET_MODE_STRICT ||
		       (first == SECCOMP_SET_MODE_FILTER && third != 0);
	return number == SYS_prctl && first == PR_SET_SECCOMP &&
	       (second == SECCOMP_MODE_STRICT || third != 0);
}

/* The id of a thread that the filter could not be put on is a failure, too. */
static bool call_filtered(long number, long flags, long result)
{
	return result == 0 || (result > 0 && number == SYS_seccomp &&
				      (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0);
}

/* Before the filter, since after it there is no telling what may be called. */
static void filter_begin(void)
{
	trace_before_filter();
	os_sandbox_enter();
}

static void filter_end(bool filters, bool filtered)
{
	if (filters && !filtered)
		os_sandbox_leave();
}

static __attribute__((noinline)) long call_aside(
	long number, long a, long b, long c, long d, long e, long f)
{
	bool stepped = worker_step_aside();
	bool filters = stepped && call_filters(number, a, b, c);
	bool filtered;
	long result;

	if (filters)
		filter_begin();
	result = next.syscall != NULL ? next.syscall(number, a, b, c, d, e, f)
				      : kernel_or_errno(number, a, b, c, d, e, f);
	filtered = filters && call_filtered(number, b, result);
	filter_end(filters, filtered);
	worker_step_back(stepped, filtered);
	return result;
}

EXPORT long aside_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (__builtin_expect(call_matters(number, a), 0))
		return call_aside(number, a, b, c, d, e, f);
	if (__builtin_expect(next.syscall == NULL, 0))
		return kernel_or_errno(number, a, b, c, d, e, f);
	return next.syscall(number, a, b, c, d, e, f);
}

EXPORT int aside_prctl(
	int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	bool matters = prctl_matters(option);
	bool stepped = matters && worker_step_aside();
	bool filters = stepped && call_filters(SYS_prctl, option, (long)a, (long)b);
	int result;

	if (filters)
		filter_begin();
	result = next.prctl != NULL ? next.prctl(option, a, b, c, d)
				    : (int)kernel_or_errno(SYS_prctl, option, (long)a, (long)b,
					      (long)c, (long)d, 0);
	filter_end(filters, result == 0);
	if (matters)
		worker_step_back(stepped, filters && result == 0);
	return result;
}

EXPORT int aside_unshare(int flags)
{
	bool stepped = worker_step_aside();
	int result = next.unshare != NULL ? next.unshare(flags)
					  : (int)kernel_or_errno(SYS_unshare, flags, 0, 0, 0, 0, 0);

	worker_step_back(stepped, false);
	return result;
}

EXPORT int aside_setns(int fd, int type)
{
	bool stepped = worker_step_aside();
	int result = next.setns != NULL ? next.setns(fd, type)
					: (int)kernel_or_errno(SYS_setns, fd, type, 0, 0, 0, 0);

	worker_step_back(stepped, false);
	return result;
}

EXPORT int aside_capset(void *header, const void *data)
{
	bool stepped = worker_step_aside();
	int result = next.capset != NULL ? next.capset(header, data)
					 : (int)kernel_or_errno(SYS_capset, (long)header,
						   (long)data, 0, 0, 0, 0);

	worker_step_back(stepped, false);
	return result;
}
