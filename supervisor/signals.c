#include "supervisor/signals.h"

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

int signals_open(struct signals *signals)
{
	const uint64_t glibc_own = (1ULL << (32 - 1)) | (1ULL << (33 - 1));
	const uint64_t everything = ~glibc_own;
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
	*signals = opened;
	return 0;
fail:
	mask_swap(SIG_SETMASK, &opened.inherited_mask, NULL);
	return error;
}

void signals_close(struct signals *signals)
{
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
	sigaction(SIGCHLD, &signals->inherited_child_action, NULL);
	mask_swap(SIG_SETMASK, &signals->inherited_mask, NULL);
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
