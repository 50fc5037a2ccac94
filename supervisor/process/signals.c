/* Signals as a descriptor, and what a child gets back of them. */
#include "supervisor/process/signals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own sigprocmask hides the two signals that it uses between threads:
 * they must stay unblocked here, and the child has to get them back as they
 * were, so the mask is the kernel's. */
static int mask_swap(int how, const uint64_t *mask, uint64_t *old)
{
	return syscall(SYS_rt_sigprocmask, how, mask, old, sizeof *mask) == 0 ? 0 : -errno;
}

#define GLIBC_FIRST 32
#define GLIBC_LAST 33

/* Nor does glibc's sigaction know them, and it catches one from the first
 * thread on: a caught signal would be the child's default one, not ignored. */
struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

static uint64_t bit_of(int number)
{
	return 1ULL << (number - 1);
}

static uint64_t glibc_ignored(void)
{
	uint64_t ignored = 0;
	for (int number = GLIBC_FIRST; number <= GLIBC_LAST; number++) {
		struct kernel_action action = {0};
		if (syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask) == 0 &&
			action.handler == (uintptr_t)SIG_IGN)
			ignored |= bit_of(number);
	}
	return ignored;
}

int signals_open(struct signals *signals)
{
	const uint64_t everything = ~(bit_of(GLIBC_FIRST) | bit_of(GLIBC_LAST));
	struct signals opened = {.fd = -1};
	int error = mask_swap(SIG_BLOCK, &everything, &opened.inherited_mask);
	if (error != 0)
		return error;
	struct sigaction plain = {.sa_handler = SIG_DFL};
	if (sigaction(SIGCHLD, &plain, &opened.inherited_child_action) != 0) {
		error = -errno;
		goto fail;
	}
	sigset_t all;
	sigfillset(&all);
	opened.fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (opened.fd < 0) {
		error = -errno;
		sigaction(SIGCHLD, &opened.inherited_child_action, NULL);
		goto fail;
	}
	opened.inherited_glibc_ignored = glibc_ignored();
	*signals = opened;
	return 0;
fail:
	mask_swap(SIG_SETMASK, &opened.inherited_mask, NULL);
	return error;
}

/* A signal that is still pending would end us as soon as the mask is gone, and our exit status
 * with it.  It came while we were ending anyway, so it is taken and dropped. */
static void drop_pending(const struct signals *signals)
{
	struct signals_event event;
	while (signals_read(signals, &event) == 1)
		;
}

void signals_close(struct signals *signals)
{
	drop_pending(signals);
	close(signals->fd);
	signals_restore(signals);
	signals->fd = -1;
}

int signals_read(const struct signals *signals, struct signals_event *event)
{
	struct signalfd_siginfo info;
	ssize_t got;
	do
		got = read(signals->fd, &info, sizeof info);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (got != (ssize_t)sizeof info)
		return -EIO;
	*event = (struct signals_event){
		.number = (int)info.ssi_signo,
		.sender = (pid_t)info.ssi_pid,
		.from_us = info.ssi_code <= 0 && (pid_t)info.ssi_pid == getpid(),
	};
	return 1;
}

void signals_restore(const struct signals *signals)
{
	const struct kernel_action ignore = {.handler = (uintptr_t)SIG_IGN};
	for (int number = GLIBC_FIRST; number <= GLIBC_LAST; number++)
		if ((signals->inherited_glibc_ignored & bit_of(number)) != 0)
			syscall(SYS_rt_sigaction, number, &ignore, NULL, sizeof ignore.mask);
	sigaction(SIGCHLD, &signals->inherited_child_action, NULL);
	mask_swap(SIG_SETMASK, &signals->inherited_mask, NULL);
}

bool signals_is_fault(int number)
{
	static const int faults[] = {SIGKILL, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP,
		SIGSYS, SIGXCPU, SIGXFSZ};
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (number == faults[i])
			return true;
	return false;
}

const char *signals_name(int number, char text[static SIGNALS_NAME_BYTES])
{
	const char *known = number > 0 && number < SIGRTMIN ? sigabbrev_np(number) : NULL;
	if (known != NULL)
		snprintf(text, SIGNALS_NAME_BYTES, "%s", known);
	else if (number >= SIGRTMIN && number <= SIGRTMAX)
		snprintf(text, SIGNALS_NAME_BYTES, "RTMIN+%d", number - SIGRTMIN);
	else
		snprintf(text, SIGNALS_NAME_BYTES, "%d", number);
	return text;
}
