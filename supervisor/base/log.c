/* Makes the lines of the log; log_writer.c writes them where a reader could block us. */

#include "supervisor/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/log_writer.h"

/* So long log_stop() waits for a reader that takes nothing. */
#define STOP_MS 500

_Static_assert(LOG_LINE_BYTES <= LOG_WRITER_LINE_BYTES, "a line is taken whole");

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static enum log_level threshold = LOG_LEVEL_INFO;
/* Held while a line is put into the writer: a thread that hung in a disk and was left behind may
 * log while log_stop() frees the writer. */
static pthread_mutex_t writer_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_writer *writer; /* NULL = the caller writes */
/* Each thread has its own, so that none reads what another sets. */
static _Thread_local void (*listener)(void *context, enum log_level level, const char *text);
static _Thread_local void *listener_context;

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_listen(void (*hear)(void *context, enum log_level level, const char *text), void *context)
{
	listener = hear;
	listener_context = context;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

struct calendar {
	unsigned year;
	unsigned month;
	unsigned day;
};

/* The proleptic Gregorian day of a day count since 1970.  gmtime_r may take a
 * lock and read a time zone file; years that begin in March need neither, as
 * the leap day comes last in them. */
static struct calendar calendar_of(uint64_t days_since_1970)
{
	uint64_t days = days_since_1970 + 719468; /* since 0000-03-01 */
	uint64_t era = days / 146097;
	unsigned day_of_era = (unsigned)(days % 146097);
	unsigned year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned march_month = (5 * day_of_year + 2) / 153;
	struct calendar calendar = {
		.year = (unsigned)(year_of_era + era * 400),
		.month = march_month < 10 ? march_month + 3 : march_month - 9,
		.day = day_of_year - (153 * march_month + 2) / 5 + 1,
	};
	if (calendar.month <= 2)
		calendar.year++;
	return calendar;
}

static size_t write_prefix(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seconds = now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0;
	struct calendar date = calendar_of(seconds / 86400);
	unsigned second = (unsigned)(seconds % 86400);
	int length =
		snprintf(line, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ %s spillway: ", date.year,
			date.month, date.day, second / 3600, second / 60 % 60, second % 60,
			(unsigned)(now.tv_nsec / 1000000), level_names[level]);
	return (size_t)length;
}

static bool is_heard(enum log_level level)
{
	return listener != NULL && level <= LOG_LEVEL_INFO;
}

/* false: the line is the caller's to write. */
static bool put_into_writer(const char *line, size_t length)
{
	pthread_mutex_lock(&writer_lock);
	bool is_put = writer != NULL && log_writer_put(writer, line, length);
	pthread_mutex_unlock(&writer_lock);
	return is_put;
}

/* Text of so many bytes that starts behind the prefix, with room for a newline. */
static void put_line(char *line, size_t start, size_t length)
{
	line[start + length] = '\n';
	if (put_into_writer(line, start + length + 1))
		return;
	/* A stderr that is closed or full is nothing we could tell anybody about. */
	ssize_t ignored = write(STDERR_FILENO, line, start + length + 1);
	(void)ignored;
}

static void write_line(enum log_level level, const char *format, va_list arguments)
{
	char line[LOG_LINE_BYTES];
	if (level > threshold && !is_heard(level))
		return;
	int saved_errno = errno;
	size_t start = write_prefix(line, sizeof line, level);
	/* The prefix took no notice of it, but "%m" means the caller's. */
	errno = saved_errno;
	size_t room = sizeof line - start - 1; /* one for the newline */
	int wanted = vsnprintf(line + start, room, format, arguments);
	size_t length = wanted < 0 ? 0 : (size_t)wanted;
	if (length >= room) {
		length = room - 1;
		memset(line + start + length - 3, '.', 3);
	}
	for (size_t i = start; i < start + length; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[start + length] = '\0';
	if (is_heard(level))
		listener(listener_context, level, line + start);
	if (level <= threshold)
		put_line(line, start, length);
	errno = saved_errno;
}

static size_t write_lost(char *line, size_t size, uint64_t count)
{
	size_t start = write_prefix(line, size, LOG_LEVEL_WARN);
	int length = snprintf(line + start, size - start,
		"log: %llu line%s lost here: stderr took no more\n", (unsigned long long)count,
		count == 1 ? "" : "s");
	return start + (size_t)length;
}

int log_start(void)
{
	return log_writer_open(STDERR_FILENO, write_lost, &writer);
}

void log_stop(void)
{
	pthread_mutex_lock(&writer_lock);
	struct log_writer *stopped = writer;
	writer = NULL;
	pthread_mutex_unlock(&writer_lock);
	log_writer_close(stopped, STOP_MS);
}

void log_error(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(LOG_LEVEL_ERROR, format, arguments);
	va_end(arguments);
}

void log_warn(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(LOG_LEVEL_WARN, format, arguments);
	va_end(arguments);
}

void log_notice(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(LOG_LEVEL_NOTICE, format, arguments);
	va_end(arguments);
}

void log_info(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(LOG_LEVEL_INFO, format, arguments);
	va_end(arguments);
}

void log_debug(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	write_line(LOG_LEVEL_DEBUG, format, arguments);
	va_end(arguments);
}
