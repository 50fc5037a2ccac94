/* Finds OOM kills in the kernel's log. */
#include "supervisor/client/why_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_BYTES 8192
#define KIB 1024U

/* The number after key, which begins a line or follows a blank; /dev/kmsg has a line's end as \x0a.
 */
static bool take_number(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);
	for (const char *at = text; (at = strstr(at, key)) != NULL; at += length) {
		char *end;
		bool begins = at == text || at[-1] == ' ' ||
			      (at - text >= 4 && strncmp(at - 4, "\\x0a", 4) == 0);
		if (!begins)
			continue;
		errno = 0;
		*value = strtoull(at + length, &end, 10);
		return errno == 0 && end != at + length;
	}
	return false;
}

/* What stands between key and the next comma. */
static void take_text(const char *text, const char *key, char *to, size_t bytes)
{
	const char *at = strstr(text, key);
	size_t length;
	to[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(key);
	length = strcspn(at, ",\n");
	if (length >= bytes)
		length = bytes - 1;
	memcpy(to, at, length);
	to[length] = '\0';
}

static void take_usage(struct why_kill *kill, const char *text)
{
	uint64_t limit;
	*kill = (struct why_kill){0};
	if (take_number(text, "usage ", &kill->usage_bytes) &&
		take_number(text, "limit ", &limit)) {
		kill->usage_bytes *= KIB;
		kill->limit_bytes = limit * KIB;
	}
}

/* One record has all of memory.stat, or one for each of its lines, as since Linux 6.12. */
static bool is_stat(const char *text)
{
	static const char *const begins[] = {
		"Memory cgroup stats for ", "anon ", "file ", "shmem ", "kernel ", "slab "};
	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
		if (strncmp(text, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static void take_stat(struct why_kill *kill, const char *text)
{
	uint64_t slab;
	if (take_number(text, "anon ", &kill->anon_bytes))
		kill->has_stat = true;
	take_number(text, "file ", &kill->file_bytes);
	take_number(text, "shmem ", &kill->shared_bytes);
	/* "kernel" is all of it, since Linux 5.18, and comes before "slab". */
	if (!take_number(text, "kernel ", &kill->slab_bytes) && kill->slab_bytes == 0 &&
		take_number(text, "slab ", &slab))
		kill->slab_bytes = slab;
}

static void take_kill(struct why_kill *kill, const char *text)
{
	char pid[24];
	const char *task;
	take_text(text, "oom_memcg=", kill->oom_memcg, sizeof kill->oom_memcg);
	take_text(text, "task_memcg=", kill->task_memcg, sizeof kill->task_memcg);
	/* A name may hold a comma: what is behind it is found from the end. */
	task = strstr(text, ",task=");
	if (task != NULL) {
		size_t length = strlen(task + 6);
		const char *end = strstr(task, ",pid=");
		for (const char *next = end; next != NULL; next = strstr(next + 1, ",pid="))
			end = next;
		if (end != NULL)
			length = (size_t)(end - task) - 6;
		snprintf(kill->task, sizeof kill->task, "%.*s", (int)length, task + 6);
		take_text(end != NULL ? end : "", ",pid=", pid, sizeof pid);
		kill->pid = strtoull(pid, NULL, 10);
	}
}

bool why_kernel_line(struct why_kill *kill, const char *record)
{
	const char *text = strchr(record, ';');
	const char *time = strchr(record, ',');
	if (text == NULL || time == NULL || time > text)
		return false;
	text++;
	if (strncmp(text, "memory: usage ", 14) == 0)
		take_usage(kill, text);
	else if (is_stat(text))
		take_stat(kill, text);
	if (strncmp(text, "oom-kill:", 9) != 0)
		return false;
	time = strchr(time + 1, ',');
	kill->at_us = time != NULL ? strtoull(time + 1, NULL, 10) : 0;
	take_kill(kill, text);
	return true;
}

int why_kernel_find(
	struct why_kill *found, bool (*belongs)(const char *path, void *with), void *with)
{
	char record[RECORD_BYTES];
	struct why_kill kill = {0};
	int result = -ENOENT;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t length = read(fd, record, sizeof record - 1);
		/* EPIPE: records were dropped meanwhile; the next read goes on behind them. */
		if (length < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (length <= 0)
			break;
		record[length] = '\0';
		if (!why_kernel_line(&kill, record))
			continue;
		if (belongs(kill.oom_memcg, with) || belongs(kill.task_memcg, with)) {
			*found = kill;
			result = 0;
		}
		kill = (struct why_kill){0};
	}
	close(fd);
	return result;
}
