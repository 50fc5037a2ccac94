/* Tells when somebody writes a memory limit; does not read it. */
#include "supervisor/cgroup/limit_watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int limit_watch_open(struct limit_watch *watch)
{
	*watch = LIMIT_WATCH_NONE;
	watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return watch->inotify_fd >= 0 ? 0 : -errno;
}

void limit_watch_close(struct limit_watch *watch)
{
	if (watch->inotify_fd >= 0)
		close(watch->inotify_fd);
	*watch = LIMIT_WATCH_NONE;
}

int limit_watch_add(const struct limit_watch *watch, int file_fd, struct limit_mark *mark)
{
	char path[32];
	*mark = LIMIT_MARK_NONE;
	if (watch->inotify_fd < 0 || file_fd < 0)
		return -EBADF;
	snprintf(path, sizeof path, "/proc/self/fd/%d", file_fd);
	int number = inotify_add_watch(watch->inotify_fd, path, IN_MODIFY);
	if (number < 0)
		return -errno;
	*mark = (struct limit_mark){watch->inotify_fd, number};
	return 0;
}

void limit_mark_clear(struct limit_mark *mark)
{
	if (mark->inotify_fd >= 0)
		inotify_rm_watch(mark->inotify_fd, mark->number);
	*mark = LIMIT_MARK_NONE;
}

int limit_watch_fd(const struct limit_watch *watch)
{
	return watch->rests ? -1 : watch->inotify_fd;
}

void limit_watch_woken(struct limit_watch *watch, uint64_t now_ms)
{
	watch->rests = true;
	watch->woken_ms = now_ms;
}

uint64_t limit_watch_due_ms(const struct limit_watch *watch)
{
	return watch->rests ? watch->woken_ms + LIMIT_WATCH_REST_MS : UINT64_MAX;
}

/* Which file it was does not matter, since all limits are read after this.  More than one buffer
 * of events wakes the loop once more. */
static void drain(const struct limit_watch *watch)
{
	char events[4096];
	ssize_t ignored = read(watch->inotify_fd, events, sizeof events);
	(void)ignored;
}

bool limit_watch_step(struct limit_watch *watch, uint64_t now_ms)
{
	if (now_ms < limit_watch_due_ms(watch))
		return false;
	drain(watch);
	watch->rests = false;
	return true;
}
