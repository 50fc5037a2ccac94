#ifndef SUPERVISOR_CLIENT_LOGS_H
#define SUPERVISOR_CLIENT_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * A service's log file as it is read by a person: its last lines, and what comes then.
 *
 * The client reads the file itself, so the supervisor has no part in it, and a reader that stops
 * reading holds up nobody but itself.  Rotation (base/rotating_file.h) loses nothing: lines are
 * taken from PATH.1 and so on where PATH has too few, and what was renamed, once or several times
 * between two looks, is read to its end before the new PATH.  A file that became shorter
 * (logrotate's copytruncate) is read from its beginning.
 */

#define LOGS_ALL UINT64_MAX
#define LOGS_LOOK_MS 200

struct logs_view {
	const char *path;
	int to; /* the descriptor to write to */
	int fd; /* of what was PATH at the last look; -1 = there was none */
	struct stat file;
	off_t at; /* what is before it was written */
};

/* Writes the last lines.  0 or -errno: there is no such file, -ENOTSUP for what is no regular one,
 * or `to` takes no more (-EPIPE). */
int logs_last(struct logs_view *view, uint64_t lines);

/* Writes what has come since.  0, also while there is no such file, or -errno. */
int logs_more(struct logs_view *view);

void logs_close(struct logs_view *view);

/* The last lines of up to two files (NULL = none), to our stdout and our stderr; follows: and what
 * comes, until whoever reads our stdout leaves.  0, or -errno and which one *failed. */
enum { LOGS_STREAMS = 2 };
int logs_run(const char *const path[LOGS_STREAMS], uint64_t lines, bool follows, size_t *failed);

#endif
