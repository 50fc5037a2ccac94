#ifndef SUPERVISOR_LOG_H
#define SUPERVISOR_LOG_H

/*
 * One line, one write(2) to stderr:
 *
 *   2026-01-02T03:04:05.678Z info spillway: web: started, pid 42
 *
 * The second word is the level.  Control characters in the text become '?', so
 * that a line is a line whatever a service is called; a text that is too long
 * is cut and ends in "...".  Nothing is allocated and errno is kept, so a line
 * can be written between any call and the look at its errno.
 */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_LINE_BYTES 1024

/* What is above it is left out.  LOG_LEVEL_INFO at the start. */
void log_set_level(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
