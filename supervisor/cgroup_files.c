#include "supervisor/cgroup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* memory.stat of 6.18 has 2 KiB; a text that is longer is cut, and its last keys are unknown. */
#define STAT_TEXT_BYTES 8192
#define SHORT_TEXT_BYTES 512

/* v1 says "no limit" with the largest page count there is. */
#define V1_NO_LIMIT (UINT64_C(1) << 62)

int cgroup_files_read(int fd, char *text, size_t size)
{
	if (fd < 0)
		return -ENOENT;
	ssize_t length;
	do {
		length = pread(fd, text, size - 1, 0);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	return (int)length;
}

/* Digits from *at on; moves *at behind them. */
static int parse_digits(const char *text, size_t length, size_t *at, uint64_t *value)
{
	uint64_t sum = 0;
	size_t i = *at;
	for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
		unsigned digit = (unsigned)(text[i] - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		sum = sum * 10 + digit;
	}
	if (i == *at)
		return -EINVAL;
	*at = i;
	*value = sum;
	return 0;
}

int cgroup_files_parse_u64(const char *text, size_t length, uint64_t *value)
{
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
		length--;
	if (length == 3 && memcmp(text, "max", 3) == 0) {
		*value = SAMPLE_NO_LIMIT;
		return 0;
	}
	size_t at = 0;
	uint64_t number;
	int error = parse_digits(text, length, &at, &number);
	if (error != 0)
		return error;
	if (at != length)
		return -EINVAL;
	*value = number;
	return 0;
}

/* The line after the one that starts at *at; false at the end. */
static bool next_line(const char *text, size_t length, size_t *at)
{
	const char *newline = memchr(text + *at, '\n', length - *at);
	if (newline == NULL)
		return false;
	*at = (size_t)(newline - text) + 1;
	return *at < length;
}

bool cgroup_files_parse_key(const char *text, size_t length, const char *key, uint64_t *value)
{
	size_t key_length = strlen(key);
	size_t at = 0;
	if (length == 0)
		return false;
	do {
		if (length - at <= key_length || memcmp(text + at, key, key_length) != 0 ||
			text[at + key_length] != ' ')
			continue;
		size_t digits = at + key_length + 1;
		return parse_digits(text, length, &digits, value) == 0 &&
		       (digits == length || text[digits] == '\n');
	} while (next_line(text, length, &at));
	return false;
}

/* The number after " total=" of the line that starts with kind. */
static int parse_total(const char *text, size_t length, const char *kind, uint64_t *total_us)
{
	static const char total[] = " total=";
	size_t at = 0;
	if (length == 0)
		return -ENOENT;
	do {
		const char *line = text + at;
		const char *newline = memchr(line, '\n', length - at);
		size_t line_length = newline != NULL ? (size_t)(newline - line) : length - at;
		if (line_length <= strlen(kind) || memcmp(line, kind, strlen(kind)) != 0)
			continue;
		const char *found = memmem(line, line_length, total, strlen(total));
		if (found == NULL)
			return -EINVAL;
		size_t digits = (size_t)(found - text) + strlen(total);
		return parse_digits(text, at + line_length, &digits, total_us);
	} while (next_line(text, length, &at));
	return -ENOENT;
}

int cgroup_files_parse_stall(const char *text, size_t length, struct stall_sample *stall)
{
	uint64_t some_us;
	uint64_t full_us = 0;
	int error = parse_total(text, length, "some ", &some_us);
	if (error != 0)
		return error;
	error = parse_total(text, length, "full ", &full_us);
	if (error != 0 && error != -ENOENT)
		return error;
	stall->some_us = some_us;
	stall->full_us = full_us;
	return 0;
}

static int open_file(int directory_fd, const char *name)
{
	return openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

void cgroup_files_open(struct cgroup_files *files, int directory_fd, enum cgroup_version version)
{
	bool v2 = version == CGROUP_V2;
	*files = CGROUP_FILES_NONE;
	files->version = version;
	files->limit_fd = open_file(directory_fd, v2 ? "memory.max" : "memory.limit_in_bytes");
	files->usage_fd = open_file(directory_fd, v2 ? "memory.current" : "memory.usage_in_bytes");
	files->events_fd = open_file(directory_fd, v2 ? "memory.events" : "memory.oom_control");
	files->events_local_fd =
		open_file(directory_fd, v2 ? "memory.events.local" : "memory.failcnt");
	files->stat_fd = open_file(directory_fd, "memory.stat");
	if (v2)
		files->pressure_fd = open_file(directory_fd, "memory.pressure");
}

void cgroup_files_close(struct cgroup_files *files)
{
	const int fds[] = {files->limit_fd, files->usage_fd, files->events_fd,
		files->events_local_fd, files->stat_fd, files->pressure_fd};
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*files = CGROUP_FILES_NONE;
}

static int read_u64(int fd, uint64_t *value)
{
	char text[SHORT_TEXT_BYTES];
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length < 0)
		return length;
	return cgroup_files_parse_u64(text, (size_t)length, value);
}

int cgroup_files_limit(const struct cgroup_files *files, uint64_t *limit_bytes)
{
	uint64_t limit;
	int error = read_u64(files->limit_fd, &limit);
	if (error != 0)
		return error;
	*limit_bytes = limit >= V1_NO_LIMIT ? SAMPLE_NO_LIMIT : limit;
	return 0;
}

int cgroup_files_usage(const struct cgroup_files *files, uint64_t *usage_bytes)
{
	return read_u64(files->usage_fd, usage_bytes);
}

static uint64_t less(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

int cgroup_files_reclaimable(const struct cgroup_files *files, uint64_t *reclaimable_bytes)
{
	enum { INACTIVE, ACTIVE, DIRTY, WRITEBACK, KEYS };
	static const char *const keys[][KEYS] = {
		[CGROUP_V1] = {"total_inactive_file", "total_active_file", "total_dirty",
			"total_writeback"},
		[CGROUP_V2] = {"inactive_file", "active_file", "file_dirty", "file_writeback"},
	};
	char text[STAT_TEXT_BYTES];
	uint64_t bytes[KEYS] = {0};
	int length = cgroup_files_read(files->stat_fd, text, sizeof text);
	if (length < 0)
		return length;
	const char *const *key = keys[files->version];
	if (!cgroup_files_parse_key(text, (size_t)length, key[INACTIVE], &bytes[INACTIVE]))
		return -ENOENT;
	for (size_t i = ACTIVE; i < KEYS; i++)
		cgroup_files_parse_key(text, (size_t)length, key[i], &bytes[i]);
	uint64_t clean_bytes = less(less(bytes[INACTIVE], bytes[DIRTY]), bytes[WRITEBACK]);
	*reclaimable_bytes = clean_bytes + bytes[ACTIVE] / 2;
	return 0;
}

static void read_events_v2(int fd, struct events_sample *events)
{
	char text[SHORT_TEXT_BYTES];
	struct events_sample read = {.known = true};
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length < 0 || !cgroup_files_parse_key(text, (size_t)length, "max", &read.max))
		return;
	cgroup_files_parse_key(text, (size_t)length, "high", &read.high);
	cgroup_files_parse_key(text, (size_t)length, "oom", &read.oom);
	cgroup_files_parse_key(text, (size_t)length, "oom_kill", &read.oom_kill);
	*events = read;
}

static void read_events_v1(const struct cgroup_files *files, struct events_sample *events)
{
	char text[SHORT_TEXT_BYTES];
	struct events_sample read = {.known = true};
	if (read_u64(files->events_local_fd, &read.max) != 0)
		return;
	int length = cgroup_files_read(files->events_fd, text, sizeof text);
	if (length >= 0 && cgroup_files_parse_key(text, (size_t)length, "oom_kill", &read.oom_kill))
		read.oom = read.oom_kill;
	*events = read;
}

void cgroup_files_events(const struct cgroup_files *files, struct events_sample *events)
{
	*events = (struct events_sample){0};
	if (files->version == CGROUP_V1)
		read_events_v1(files, events);
	else
		read_events_v2(files->events_fd, events);
}

void cgroup_files_events_local(const struct cgroup_files *files, struct events_sample *events)
{
	*events = (struct events_sample){0};
	if (files->version == CGROUP_V1)
		read_events_v1(files, events);
	else if (files->events_local_fd >= 0)
		read_events_v2(files->events_local_fd, events);
	else
		read_events_v2(files->events_fd, events);
}

void cgroup_files_stall(
	const struct cgroup_files *files, uint64_t now_ms, struct stall_sample *stall)
{
	char text[SHORT_TEXT_BYTES];
	struct stall_sample read = {.known = true, .read_ms = now_ms};
	*stall = (struct stall_sample){0};
	int length = cgroup_files_read(files->pressure_fd, text, sizeof text);
	if (length >= 0 && cgroup_files_parse_stall(text, (size_t)length, &read) == 0)
		*stall = read;
}
