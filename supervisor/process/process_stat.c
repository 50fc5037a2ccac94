/* Reads /proc/PID/stat. */
#include "supervisor/process/process_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIELD_STATE 3U
#define FIELD_PARENT 4U
#define FIELD_GROUP 5U
#define FIELD_THREADS 20U
#define FIELD_START 22U

/* Digits by hand, since each turn reads them and strtol() takes the locale's tables along. */
static uint64_t number(const char *at)
{
	uint64_t value = 0;
	while (*at >= '0' && *at <= '9')
		value = value * 10 + (uint64_t)(*at++ - '0');
	return value;
}

/* The name in field 2 may hold anything, blanks and parentheses too, so counting starts behind the
 * last ')'. */
static bool parse(const char *text, struct process_stat *stat)
{
	const char *at = strrchr(text, ')');
	if (at == NULL || at[1] != ' ' || at[2] == '\0' || at[2] == ' ')
		return false;
	*stat = (struct process_stat){.state = at[2]};
	at += 2;
	for (unsigned field = FIELD_STATE + 1; field <= FIELD_START; field++) {
		at = strchr(at, ' ');
		if (at == NULL)
			return false;
		at++;
		if (field == FIELD_PARENT)
			stat->parent = (pid_t)number(at);
		else if (field == FIELD_GROUP)
			stat->group = (pid_t)number(at);
		else if (field == FIELD_THREADS)
			stat->threads = number(at);
	}
	stat->start_ticks = number(at);
	return true;
}

int process_stat_read(int proc_fd, pid_t pid, struct process_stat *stat)
{
	char path[32];
	char text[1024];
	snprintf(path, sizeof path, "%d/stat", (int)pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t length = read(fd, text, sizeof text - 1);
	int error = length < 0 ? -errno : 0;
	close(fd);
	if (error != 0)
		return error;
	text[length] = '\0';
	return parse(text, stat) ? 0 : -EINVAL;
}
