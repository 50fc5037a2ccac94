#ifndef SUPERVISOR_BASE_LOG_H
#define SUPERVISOR_BASE_LOG_H

/*
 * One line, one write(2) to stderr:
 *
 *   2026-01-02T03:04:05.678Z info spillway: web: started, pid 42
 *
 * The second word is the level.  Control characters in the text become '?', so
 * that a line is a line whatever a service is called; a text that is too long
 * is cut and ends in "...".  errno is kept, so a line
 * can be written between any call and the look at its errno.
 *
 * From log_start() to log_stop() nobody waits for stderr: the lines are written by
 * a thread (log_writer.h), and those that a stopped reader leaves no room for are
 * counted, and the count is said when the reader goes on.  Before and after, the caller writes.
 */

/*
 * A notice is something that happened to a service because of its memory: a level, a brake, a kill.
 * Info is what a reader of run mode's log wants besides: starts, ends, the mode, the last report.
 */
enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

#define LOG_LINE_BYTES 1024

/* What is above it is left out.  LOG_LEVEL_INFO at the start. */
void log_set_level(enum log_level level);

/* After signals_open(), since the first line starts a thread.  Where no thread can be had, the
 * caller of each line writes it.  0 or -errno: the callers go on writing. */
int log_start(void);

/* Waits for the last lines as long as stderr takes any; lines that it does not take are lost. */
void log_stop(void);

/* Each line that is logged at LOG_LEVEL_INFO or above, without prefix and newline, is given to
 * `hear` too, in the thread that called log_listen(); not what others log.  NULL: to nobody. */
void log_listen(void (*hear)(void *context, enum log_level level, const char *text), void *context);

const char *log_level_name(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
