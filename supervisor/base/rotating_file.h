#ifndef SUPERVISOR_BASE_ROTATING_FILE_H
#define SUPERVISOR_BASE_ROTATING_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A file that is appended to, up to a size.
 *
 * When a write would take it beyond max_bytes, PATH.1 becomes PATH.2 and so on up to PATH.BACKUPS,
 * PATH becomes PATH.1, and a new PATH is begun; without backups PATH is removed instead.  The names
 * are supervisord's.  A line that has begun is finished, for up to 4 KiB beyond max_bytes; what is
 * longer is cut.  What is no regular file (a FIFO, a device) is only written to, and never waited
 * for.
 *
 * Several may have one path: each looks whether the file is still the one of that name before it
 * writes.  Without max_bytes nobody looks, and who renames it has it reopened.
 *
 * Where it cannot be renamed it grows on, and that is tried again as much later: a write succeeds,
 * and stuck_error says why.
 *
 * Not for two threads at once.
 */

struct rotating_file {
	char *path;         /* owned */
	uint64_t max_bytes; /* 0 = it grows without end */
	unsigned backups;
	bool is_ours; /* what has that name when it is first opened is removed before */

	int fd; /* -1 = it is not open */
	bool was_opened;
	bool is_regular;
	bool is_within_line;
	int stuck_error; /* why it could not be renamed; size counts from there; 0 = it could */
	uint64_t size;
};

/* Opens nothing yet.  is_ours is false.  0 or -ENOMEM. */
int rotating_file_init(
	struct rotating_file *file, const char *path, uint64_t max_bytes, unsigned backups);

/* 0 or -errno.  Does nothing where it is open. */
int rotating_file_open(struct rotating_file *file);

/* The next write or open is to what has that name then. */
void rotating_file_close(struct rotating_file *file);

/* All of it: 0.  Or -errno with as much as was written in *written.  Opens it where it is not open,
 * so that a later write tries again what has failed. */
int rotating_file_write(
	struct rotating_file *file, const char *bytes, size_t length, size_t *written);

void rotating_file_fini(struct rotating_file *file);

#endif
