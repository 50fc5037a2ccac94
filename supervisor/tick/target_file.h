#ifndef SUPERVISOR_TICK_TARGET_FILE_H
#define SUPERVISOR_TICK_TARGET_FILE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A wall that somebody else names in a file, below the limits that the kernel keeps: a size, a bare
 * number of bytes, a share of the limit above, or off, as one line.
 *
 * The path is opened anew every TARGET_FILE_LOOK_MS at most, so a file that is replaced, or reached
 * through a link that is moved (a mounted ConfigMap or downward-API volume), is seen.  What is
 * in it is input from a stranger: a file that is missing, no regular file, longer than
 * TARGET_FILE_BYTES or without sense is told of once, and the last good target stays.
 *
 * A thread reads it, so that a file system that hangs holds up nothing: the loop waits for
 * TARGET_FILE_WAIT_MS, and takes what was read later at the next step.  After TARGET_FILE_HANGS_MS
 * that is told of as well.
 */

#define TARGET_FILE_LOOK_MS UINT64_C(500)
#define TARGET_FILE_WAIT_MS 5U
#define TARGET_FILE_HANGS_MS UINT64_C(5000)
#define TARGET_FILE_BYTES 64U
#define TARGET_FILE_LEAST_BYTES (UINT64_C(1) << 20)

struct chore;

/* All zero at the start. */
struct target_file {
	struct chore *chore; /* NULL = nothing was read yet */
	bool is_reading;
	bool looked;
	bool known; /* bytes is a target; UINT64_MAX = off */
	int error;  /* of the last look */
	uint64_t looked_ms;
	uint64_t bytes;
};

/* What is in force: bytes, or UINT64_MAX.  path NULL: there is no file.  wall_bytes: what shares
 * are of; UINT64_MAX = unknown. */
uint64_t target_file_step(struct target_file *target, const char *name, const char *path,
	uint64_t wall_bytes, uint64_t now_ms);

/* Forgets the target; waits for nothing. */
void target_file_close(struct target_file *target);

#endif
