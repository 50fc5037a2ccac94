/* Signals all processes below one. */
#include "supervisor/process/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/process_table.h"

struct told_process {
	pid_t pid;
	uint64_t start_ticks;
};

/* It may be an empty folder, or that of another PID namespace. */
static bool is_our_proc(int proc_fd)
{
	char text[16];
	ssize_t length = readlinkat(proc_fd, "self", text, sizeof text - 1);
	if (length < 0)
		return false;
	text[length] = '\0';
	return strtol(text, NULL, 10) == (long)getpid();
}

/* NULL with errno. */
static DIR *open_proc(void)
{
	DIR *directory = opendir("/proc");
	if (directory == NULL || is_our_proc(dirfd(directory)))
		return directory;
	closedir(directory);
	errno = ENOENT;
	return NULL;
}

/* Whether our only child is that one (0: there is none), whose own children were left to us when it
 * ended.  Not known where the kernel has no such list (CONFIG_PROC_CHILDREN), and where /proc is
 * that of another PID namespace, in which our first thread has another number.  A thread other than
 * the first never forks. */
static bool has_no_child_but(pid_t only)
{
	char path[48];
	char text[64];
	char *end = text;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	if (length == 0)
		return true;
	long first = strtol(text, &end, 10);
	return first == (long)only && end[strspn(end, " ")] == '\0';
}

static int by_number(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a;
	pid_t right = *(const pid_t *)b;
	return left < right ? -1 : left > right;
}

bool descendants_are_known(pid_t *known, size_t count)
{
	char path[48];
	int child;
	bool all = true;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	FILE *list = fopen(path, "re");
	if (list == NULL)
		return false;
	if (count > 0)
		qsort(known, count, sizeof *known, by_number);
	while (all && fscanf(list, "%d", &child) == 1) {
		pid_t pid = child;
		all = count > 0 && bsearch(&pid, known, count, sizeof pid, by_number) != NULL;
	}
	all = all && !ferror(list);
	fclose(list);
	return all;
}

static int by_identity(const void *a, const void *b)
{
	const struct told_process *left = a;
	const struct told_process *right = b;
	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	return left->start_ticks < right->start_ticks ? -1 : left->start_ticks > right->start_ticks;
}

static struct told_process identity_of(const struct process *process)
{
	return (struct told_process){.pid = process->pid, .start_ticks = process->start_ticks};
}

static void mark_told(struct process_table *table, const struct descendants_told *told)
{
	for (size_t i = 0; i < table->count && told->count > 0; i++) {
		struct told_process wanted = identity_of(&table->process[i]);
		table->process[i].told = bsearch(&wanted, told->process, told->count, sizeof wanted,
						 by_identity) != NULL;
	}
}

/* Not for those whose parent was told by an earlier call, and lives. */
static void mark_due(struct process_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		const struct process *parent = process->up;
		process->due = process->below && !process->zombie && !process->told &&
			       (parent == NULL || !parent->told || parent->zombie);
	}
}

static bool is_whole(const struct process_table *table, pid_t group)
{
	if (group <= 1 || group == getpgrp())
		return false;
	for (size_t i = 0; i < table->count; i++)
		if (table->process[i].group == group && !table->process[i].due &&
			!table->process[i].zombie)
			return false;
	return true;
}

static void mark_group_told(struct process_table *table, pid_t group)
{
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		if (process->group != group || process->zombie)
			continue;
		process->told = true;
		process->due = false;
	}
}

static int tell_due(struct process_table *table)
{
	int count = 0;
	for (size_t i = 0; i < table->count; i++)
		count += table->process[i].due;
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		if (!process->due)
			continue;
		if (is_whole(table, process->group)) {
			kill(-process->group, SIGTERM);
			mark_group_told(table, process->group);
			continue;
		}
		process->told = kill(process->pid, SIGTERM) == 0;
		process->due = false;
	}
	return count;
}

/* Those that are told and still there. */
static int remember(struct descendants_told *told, const struct process_table *table)
{
	if (told->room < table->count) {
		struct told_process *grown = realloc(told->process, table->count * sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		told->process = grown;
		told->room = table->count;
	}
	told->count = 0;
	for (size_t i = 0; i < table->count; i++)
		if (table->process[i].told)
			told->process[told->count++] = identity_of(&table->process[i]);
	/* They are in the order of their numbers, as the table is. */
	return 0;
}

static void terminate_blindly(pid_t group)
{
	if (getpid() == 1)
		kill(-1, SIGTERM);
	else if (group > 1)
		kill(-group, SIGTERM);
}

int descendants_terminate(pid_t root, pid_t group, struct descendants_told *told)
{
	struct process_table table = {0};
	if (root == getpid() && has_no_child_but(group))
		return 0;
	DIR *directory = open_proc();
	int result = directory == NULL ? -errno : 0;
	if (directory != NULL) {
		/* Before the list, which then has what these have forked until now. */
		if (group > 1)
			kill(-group, SIGTERM);
		result = process_table_read(directory, &table);
		closedir(directory);
	} else {
		terminate_blindly(group);
	}
	if (result == 0) {
		process_table_mark_below(&table, root);
		mark_told(&table, told);
		mark_due(&table);
		if (group > 1)
			mark_group_told(&table, group);
		result = tell_due(&table);
		if (remember(told, &table) != 0)
			result = -ENOMEM;
	}
	process_table_free(&table);
	return result;
}

void descendants_told_free(struct descendants_told *told)
{
	free(told->process);
	*told = (struct descendants_told){0};
}

int descendants_signal(pid_t root, int signal)
{
	struct process_table table = {0};
	DIR *directory = open_proc();
	if (directory == NULL)
		return -errno;
	int result = process_table_read(directory, &table);
	closedir(directory);
	if (result != 0)
		goto out;
	process_table_mark_below(&table, root);
	for (size_t i = 0; i < table.count; i++) {
		const struct process *process = &table.process[i];
		if (!process->below || process->zombie)
			continue;
		if (kill(process->pid, signal) == 0)
			result++;
	}
out:
	process_table_free(&table);
	return result;
}

int descendants_each_of_group(pid_t group, int (*each)(pid_t pid, void *context), void *context)
{
	struct process_table table = {0};
	DIR *directory = opendir("/proc");
	if (directory == NULL)
		return -errno;
	int error = process_table_read(directory, &table);
	closedir(directory);
	bool done = error != 0;
	for (size_t i = 0; !done && i < table.count; i++) {
		const struct process *process = &table.process[i];
		if (process->group == group && !process->zombie)
			done = each(process->pid, context) != 0;
	}
	process_table_free(&table);
	return error;
}
