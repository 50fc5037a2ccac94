#ifndef SUPERVISOR_BASE_LOG_WRITER_H
#define SUPERVISOR_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A thread that writes lines to a descriptor which may block for ever.
 *
 * log_writer_put() copies the line into a buffer of LOG_WRITER_BYTES and never
 * waits.  The thread writes one line after another, each with one write(2).  When
 * the buffer is full a new line is dropped and counted; a line that cannot be
 * written (disk full, reader gone) is counted as well.  As soon as a line gets
 * through again, the thread asks lost() for a line that says the count.
 *
 * Why a thread, and a blocking write in it:
 *   - O_NONBLOCK belongs to the open file description.  The services share it, so
 *     setting it would make their stderr non-blocking.
 *   - A description of our own, by opening /proc/self/fd/2, does not exist for a
 *     socket, is refused when the file belongs to another user (a container that does not
 *     run as root), and has a file offset of its own.
 *   - poll() before the write says that there is room now.  A service that writes to
 *     the same pipe may take that room before us, and a terminal takes a part of the line
 *     and then blocks.
 *   - RWF_NOWAIT works for pipes only on newer kernels and never for terminals.
 * The price is that a line is written shortly after log_writer_put() has
 * returned, so it may stand after a line that a service wrote meanwhile.
 *
 * The thread starts with the first line, so that a log in which nothing is said costs none.  It
 * blocks all signals, SIGPIPE included.
 */

#define LOG_WRITER_BYTES ((size_t)64 << 10)
#define LOG_WRITER_LINE_BYTES 1024 /* the longest line */

struct log_writer;

/* Writes into line, which has size bytes, that count lines were lost.  The length. */
typedef size_t (*log_writer_lost)(char *line, size_t size, uint64_t count);

/* fd stays the caller's.  0 or -errno. */
int log_writer_open(int fd, log_writer_lost lost, struct log_writer **writer);

/* Any thread may call it.  Keeps errno.  false: the thread cannot be started, and the line is the
 * caller's to write. */
bool log_writer_put(struct log_writer *writer, const char *line, size_t length);

/* Waits until all lines are written, but only for wait_ms after the last one that got
 * through.  A thread that is blocked in a write is then left behind, with its
 * memory: it writes at most the line that it holds. */
void log_writer_close(struct log_writer *writer, uint32_t wait_ms);

#endif
