#ifndef SUPERVISOR_CGROUP_LIMIT_WATCH_H
#define SUPERVISOR_CGROUP_LIMIT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Limits that somebody else writes, as a descriptor that the event loop waits for.
 *
 * A pod that is resized, `systemctl set-property` or `docker update` writes memory.max of our
 * cgroup or of one above it.  The kernel sends no notification of its own, but it tells inotify
 * of every write to a control file, v1 or v2, through whatever mount and from whatever namespace
 * it came.
 *
 * A service that may write its own limit could do so in a loop.  So the loop waits for nothing for
 * LIMIT_WATCH_REST_MS after each wake; writes of that time are seen when it ends.
 *
 * Where inotify is not to be had (no /proc, too many instances) limits are seen at the next look.
 *
 * A process that closes an inotify descriptor with marks, or ends with one, waits for a grace
 * period of the kernel, 5 to 15 ms.  That is many times what a short command takes.  So the caller
 * opens the watch LIMIT_WATCH_AFTER_MS after the start, and reads all limits after that.
 */

#define LIMIT_WATCH_REST_MS 50U
#define LIMIT_WATCH_AFTER_MS 300U

struct limit_watch {
	int inotify_fd; /* -1 = there is none */
	bool rests;
	uint64_t woken_ms;
};

#define LIMIT_WATCH_NONE ((struct limit_watch){.inotify_fd = -1})

/* One file that is watched.  All -1: none is. */
struct limit_mark {
	int inotify_fd;
	int number;
};

#define LIMIT_MARK_NONE ((struct limit_mark){-1, -1})

/* 0, or -errno with *watch LIMIT_WATCH_NONE. */
int limit_watch_open(struct limit_watch *watch);
void limit_watch_close(struct limit_watch *watch);

/* Watches an open control file, whose descriptor is not kept.  The mark must be cleared before the
 * watch is closed, or be forgotten with it.  0, or -errno with *mark LIMIT_MARK_NONE. */
int limit_watch_add(const struct limit_watch *watch, int file_fd, struct limit_mark *mark);
void limit_mark_clear(struct limit_mark *mark);

/* What the loop waits for, for reading; -1 = nothing, for now or at all. */
int limit_watch_fd(const struct limit_watch *watch);

/* After the loop saw it readable: limit_watch_fd() is -1 from now on. */
void limit_watch_woken(struct limit_watch *watch, uint64_t now_ms);

/* Before the limits are read, in every turn.  Whether limit_watch_fd() is another one now. */
bool limit_watch_step(struct limit_watch *watch, uint64_t now_ms);

/* When to call limit_watch_step() again; UINT64_MAX: there is no need. */
uint64_t limit_watch_due_ms(const struct limit_watch *watch);

#endif
