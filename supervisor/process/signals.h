#ifndef SUPERVISOR_PROCESS_SIGNALS_H
#define SUPERVISOR_PROCESS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Signals, read and never caught.
 *
 * All of them are blocked and come out of a signalfd.  No handler exists, so:
 *   - what a child has to get back is the mask and SIGCHLD's disposition (an
 *     inherited SIG_IGN would have the kernel reap our children), and of the two
 *     signals that glibc keeps for itself; all other dispositions are still the
 *     inherited ones;
 *   - one that somebody sent can be told from one that a fault of our own
 *     raised, which is never read: the kernel kills for a blocked SEGV;
 *   - PID 1 receives those whose default action it is immune to.
 *
 * signals_open comes before the first fork and before the first thread.
 */

struct signals {
	int fd;
	uint64_t inherited_mask; /* as the kernel has it, glibc's own two included */
	struct sigaction inherited_child_action;
	uint64_t inherited_glibc_ignored; /* of the two, as bits of a mask */
};

struct signals_event {
	int number;
	pid_t sender; /* 0 where it is the kernel or in another PID namespace */
	bool from_us;
};

/* 0 or -errno. */
int signals_open(struct signals *signals);

/* Drops what is pending, and gives back what signals_open took. */
void signals_close(struct signals *signals);

/* 1 and the next event, 0 where there is none, or -errno. */
int signals_read(const struct signals *signals, struct signals_event *event);

/* In the child: gives back what signals_open took.  Async-signal-safe. */
void signals_restore(const struct signals *signals);

/* SIGKILL and those that a program's own faults raise: nobody asks it to end by these. */
bool signals_is_fault(int number);

/* "TERM", "RTMIN+2", or the number; into text, which is returned. */
#define SIGNALS_NAME_BYTES 16
const char *signals_name(int number, char text[static SIGNALS_NAME_BYTES]);

#endif
