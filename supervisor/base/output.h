#ifndef SUPERVISOR_BASE_OUTPUT_H
#define SUPERVISOR_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What services write, taken from pipes and put into files.
 *
 * Two threads, which all outputs share and which exist from the first one on.  The reader takes
 * what comes out of the pipes and hands it over in pieces; the writer writes one after another into
 * the files.  The loop has no part in it, and a disk that stands still holds up nobody for long:
 *   - While the writer gets on, nothing is lost: when OUTPUT_QUEUE_BYTES are waiting for it the
 *     reader stops reading, and a service that writes faster than the disk waits for it in
 * write(2).
 *   - When the writer has been in one write for OUTPUT_PATIENCE_MS, what finds no room is dropped
 *     and counted, until that write returns.
 *   - What a file does not take (disk full, no such directory) is dropped and counted.  It is
 *     opened, if need be, and written to with each piece anew.
 * The beginning and the end of a loss are said in our log, with the number of bytes.
 *
 * A pipe belongs to an output and not to a process: it stays the same over restarts and reloads.
 */

#define OUTPUT_QUEUE_BYTES ((size_t)256 << 10)
#define OUTPUT_PATIENCE_MS 1000U

struct output;

/* What is written to. */
struct output_file {
	const char *path;
	uint64_t max_bytes; /* 0 = it is never rotated */
	unsigned backups;
	bool is_ours; /* it has a name that we made up: what is there from before is removed */
};

/* name is how the log calls it.  survives: processes that have it keep a reading end as well, so
 * that writing to it after our death is no error until it is full, and somebody who comes after us
 * can read on.  0 or -errno. */
int output_new(
	const char *name, const struct output_file *file, bool survives, struct output **output);

/* The same for a pipe that an earlier supervisor has made so, by its reading end, which is
 * non-blocking and is taken where it succeeds. */
int output_new_from(
	const char *name, const struct output_file *file, int read_fd, struct output **output);

/* For a child: the end to write to, which stays the output's. */
int output_fd(const struct output *output);

/* From now on into that file.  0 or -ENOMEM. */
int output_set(struct output *output, const struct output_file *file);

/* Nothing new is written to it by us; what processes still write is taken until the last one has
 * closed it. */
void output_free(struct output *output);

/* All files are closed, and what has their names then is opened: somebody has renamed them. */
void output_reopen_all(void);

/* Writes all that is in the pipes and ends the threads, or leaves them behind when the writer has
 * not got on for so long. */
void output_stop_all(uint32_t wait_ms);

#endif
