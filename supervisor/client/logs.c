/* Reads log files, from their last lines on and over rotations. */
#include "supervisor/client/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 65536
/* More backups than that are passed over. */
#define FILES_MOST 256U

struct file {
	int fd;
	struct stat status;
	off_t from;
};

/* PATH and its backups, the newest first. */
struct files {
	size_t count;
	struct file file[FILES_MOST];
};

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Adds PATH, or PATH.NUMBER.  What a rotation in between has moved on is not there twice.  0 or
 * -errno. */
static int add(struct files *files, const char *path, unsigned number)
{
	char name[PATH_MAX];
	struct file *file = &files->file[files->count];
	int length = number == 0 ? snprintf(name, sizeof name, "%s", path)
				 : snprintf(name, sizeof name, "%s.%u", path, number);
	if (length >= (int)sizeof name)
		return -ENAMETOOLONG;
	*file = (struct file){.fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
	if (file->fd < 0)
		return -errno;
	int error = 0;
	if (fstat(file->fd, &file->status) != 0)
		error = -errno;
	else if (!S_ISREG(file->status.st_mode))
		error = -ENOTSUP;
	if (error != 0 || (files->count > 0 && is_same(&file->status, &file[-1].status))) {
		close(file->fd);
		return error;
	}
	files->count++;
	return 0;
}

/* The offset at which the last `lines` lines begin, where there are so many; else 0.  *lines
 * becomes what is missing. */
static int find_lines(const struct file *file, uint64_t *lines, off_t *from)
{
	char block[BLOCK_BYTES];
	off_t end = file->status.st_size;
	off_t at = end;
	*from = at;
	while (at > 0 && *lines > 0 && *lines != LOGS_ALL) {
		size_t size = at < BLOCK_BYTES ? (size_t)at : BLOCK_BYTES;
		ssize_t got = pread(file->fd, block, size, at - (off_t)size);
		if (got != (ssize_t)size)
			return got < 0 ? -errno : -EIO;
		at -= (off_t)size;
		for (size_t i = size; i > 0; i--) {
			off_t behind = at + (off_t)i;
			if (block[i - 1] != '\n' || behind == end || --*lines > 0)
				continue;
			*from = behind;
			return 0;
		}
	}
	if (*lines == 0)
		return 0;
	*from = 0;
	/* The first line has no end of another before it. */
	if (end > 0 && *lines != LOGS_ALL)
		--*lines;
	return 0;
}

static int write_all(int to, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t written = write(to, bytes, count);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		count -= (size_t)written;
	}
	return 0;
}

/* All from *at on; *at becomes the end. */
static int copy(int fd, off_t *at, int to)
{
	char block[BLOCK_BYTES];
	for (;;) {
		ssize_t got = pread(fd, block, sizeof block, *at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		int error = write_all(to, block, (size_t)got);
		if (error != 0)
			return error;
		*at += got;
	}
}

/* Writes the files, the oldest first.  The newest becomes the view's; the others are closed. */
static int show(struct logs_view *view, struct files *files)
{
	int error = 0;
	for (size_t i = files->count; i > 0; i--) {
		struct file *file = &files->file[i - 1];
		if (error == 0)
			error = copy(file->fd, &file->from, view->to);
		if (i > 1)
			close(file->fd);
	}
	logs_close(view);
	view->fd = files->file[0].fd;
	view->file = files->file[0].status;
	view->at = files->file[0].from;
	return error;
}

int logs_last(struct logs_view *view, uint64_t lines)
{
	struct files files = {.count = 0};
	unsigned number = 0;
	int error = add(&files, view->path, number);
	if (error != 0)
		return error;
	error = find_lines(&files.file[0], &lines, &files.file[0].from);
	while (error == 0 && lines > 0 && files.count < FILES_MOST) {
		size_t before = files.count;
		if (add(&files, view->path, ++number) != 0)
			break;
		if (files.count > before)
			error = find_lines(&files.file[before], &lines, &files.file[before].from);
	}
	int shown = show(view, &files);
	return error != 0 ? error : shown;
}

/* PATH is another file: what was written to those in between is shown, too.  Where ours is not
 * among the backups any more, nobody knows which these are, and PATH goes on. */
static int follow_rotation(struct logs_view *view)
{
	struct files files = {.count = 0};
	bool found = false;
	int error = add(&files, view->path, 0);
	if (error != 0)
		return error == -ENOENT ? 0 : error;
	for (unsigned number = 1; !found && files.count < FILES_MOST; number++) {
		if (add(&files, view->path, number) != 0)
			break;
		found = is_same(&files.file[files.count - 1].status, &view->file);
	}
	while (files.count > 1 && !found)
		close(files.file[--files.count].fd);
	if (!found && view->fd >= 0)
		error = copy(view->fd, &view->at, view->to);
	if (found)
		files.file[files.count - 1].from = view->at;
	int shown = show(view, &files);
	return error != 0 ? error : shown;
}

int logs_more(struct logs_view *view)
{
	struct stat now;
	int error = 0;
	if (view->fd >= 0) {
		if (fstat(view->fd, &now) == 0 && now.st_size < view->at)
			view->at = 0;
		error = copy(view->fd, &view->at, view->to);
	}
	if (error != 0 || stat(view->path, &now) != 0)
		return error;
	if (view->fd >= 0 && is_same(&now, &view->file))
		return 0;
	return follow_rotation(view);
}

void logs_close(struct logs_view *view)
{
	if (view->fd >= 0)
		close(view->fd);
	view->fd = -1;
}

/* Waits for the next look.  false: whoever reads what we write has left. */
static bool wait_for_look(void)
{
	struct pollfd ours = {.fd = STDOUT_FILENO};
	return poll(&ours, 1, LOGS_LOOK_MS) <= 0 || (ours.revents & (POLLERR | POLLNVAL)) == 0;
}

int logs_run(const char *const path[LOGS_STREAMS], uint64_t lines, bool follows, size_t *failed)
{
	struct logs_view view[LOGS_STREAMS];
	int error = 0;
	for (size_t i = 0; i < LOGS_STREAMS; i++)
		view[i] = (struct logs_view){
			.path = path[i], .to = i == 0 ? STDOUT_FILENO : STDERR_FILENO, .fd = -1};
	for (size_t i = 0; i < LOGS_STREAMS && error == 0; i++) {
		*failed = i;
		if (path[i] != NULL)
			error = logs_last(&view[i], lines);
		/* It comes with the service's start. */
		if (error == -ENOENT && follows)
			error = 0;
	}
	while (error == 0 && follows && wait_for_look()) {
		for (size_t i = 0; i < LOGS_STREAMS && error == 0; i++) {
			*failed = i;
			if (path[i] != NULL)
				error = logs_more(&view[i]);
		}
	}
	for (size_t i = 0; i < LOGS_STREAMS; i++)
		logs_close(&view[i]);
	return error;
}
