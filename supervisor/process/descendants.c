/* Signals all processes below one, or those of them that bear a mark. */
#include "supervisor/process/descendants.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/process_stat.h"

struct process {
	pid_t pid;
	pid_t parent;
	pid_t group;
	bool zombie;
	bool below;
	bool marked;
	bool told;
	bool due; /* to be told */
	uint64_t start_ticks;
};

struct told_process {
	pid_t pid;
	uint64_t start_ticks;
};

struct table {
	struct process *process;
	size_t count;
	size_t room;
};

/* 0 = not the folder of a process.  Zero and negative numbers must not pass: kill() takes them for
 * whole groups, or everybody. */
static pid_t parse_pid(const char *name)
{
	char *after;
	if (!isdigit((unsigned char)name[0]))
		return 0;
	errno = 0;
	long value = strtol(name, &after, 10);
	return errno == 0 && *after == '\0' && value <= INT_MAX ? (pid_t)value : 0;
}

static bool read_process(int proc_fd, const char *name, struct process *process)
{
	struct process_stat stat;
	pid_t pid = parse_pid(name);
	if (pid == 0 || process_stat_read(proc_fd, pid, &stat) != 0)
		return false;
	*process = (struct process){.pid = pid,
		.parent = stat.parent,
		.group = stat.group,
		.start_ticks = stat.start_ticks,
		.zombie = stat.state == 'Z' || stat.state == 'X'};
	return true;
}

static int read_table(DIR *directory, struct table *table)
{
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		struct process process;
		if (!read_process(dirfd(directory), entry->d_name, &process))
			continue;
		if (table->count == table->room) {
			size_t room = table->room * 2 + 64;
			struct process *grown = realloc(table->process, room * sizeof *grown);
			if (grown == NULL)
				return -ENOMEM;
			table->process = grown;
			table->room = room;
		}
		table->process[table->count++] = process;
	}
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *left = a;
	const struct process *right = b;
	return left->pid < right->pid ? -1 : left->pid > right->pid;
}

/* Passes until one finds nobody new: as many as the tree is deep, at worst. */
static void mark_below(struct table *table, pid_t root)
{
	bool found = table->count > 0;
	if (found)
		qsort(table->process, table->count, sizeof *table->process, by_pid);
	while (found) {
		found = false;
		for (size_t i = 0; i < table->count; i++) {
			struct process *child = &table->process[i];
			struct process wanted = {.pid = child->parent};
			if (child->below)
				continue;
			const struct process *parent = bsearch(
				&wanted, table->process, table->count, sizeof wanted, by_pid);
			child->below = child->parent == root || (parent != NULL && parent->below);
			found = found || child->below;
		}
	}
}

/* One entry of the environment is exactly that text.  Another user's cannot be read without
 * CAP_SYS_PTRACE; then it is not known to be there. */
bool descendants_has_text(pid_t pid, const char *text)
{
	char path[64];
	char *entry = NULL;
	size_t room = 0;
	bool found = false;
	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	FILE *stream = fopen(path, "re");
	if (stream == NULL)
		return false;
	while (!found && getdelim(&entry, &room, '\0', stream) > 0)
		found = strcmp(entry, text) == 0;
	free(entry);
	fclose(stream);
	return found;
}

/* As mark_below, starting from those that bear the mark themselves. */
static void mark_marked(struct table *table, const char *text)
{
	bool found = false;
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		if (!process->below || process->zombie)
			continue;
		process->marked = descendants_has_text(process->pid, text);
		found = found || process->marked;
	}
	while (found) {
		found = false;
		for (size_t i = 0; i < table->count; i++) {
			struct process *child = &table->process[i];
			struct process wanted = {.pid = child->parent};
			if (child->marked || !child->below)
				continue;
			const struct process *parent = bsearch(
				&wanted, table->process, table->count, sizeof wanted, by_pid);
			child->marked = parent != NULL && parent->marked;
			found = found || child->marked;
		}
	}
}

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

int descendants_signal_marked(pid_t root, const char *text, pid_t except_group, int signal)
{
	struct table table = {0};
	if (root == getpid() && has_no_child_but(0))
		return 0;
	DIR *directory = opendir("/proc");
	if (directory == NULL)
		return -errno;
	int result = read_table(directory, &table);
	closedir(directory);
	if (result == 0) {
		mark_below(&table, root);
		mark_marked(&table, text);
	}
	for (size_t i = 0; result >= 0 && i < table.count; i++) {
		const struct process *process = &table.process[i];
		if (process->marked && !process->zombie && process->group != except_group &&
			kill(process->pid, signal) == 0)
			result++;
	}
	free(table.process);
	return result;
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

static void mark_told(struct table *table, const struct descendants_told *told)
{
	for (size_t i = 0; i < table->count && told->count > 0; i++) {
		struct told_process wanted = identity_of(&table->process[i]);
		table->process[i].told = bsearch(&wanted, told->process, told->count, sizeof wanted,
						 by_identity) != NULL;
	}
}

/* Not for those whose parent was told by an earlier call, and lives. */
static void mark_due(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		struct process wanted = {.pid = process->parent};
		const struct process *parent =
			bsearch(&wanted, table->process, table->count, sizeof wanted, by_pid);
		process->due = process->below && !process->zombie && !process->told &&
			       (parent == NULL || !parent->told || parent->zombie);
	}
}

static bool is_whole(const struct table *table, pid_t group)
{
	if (group <= 1 || group == getpgrp())
		return false;
	for (size_t i = 0; i < table->count; i++)
		if (table->process[i].group == group && !table->process[i].due &&
			!table->process[i].zombie)
			return false;
	return true;
}

static void mark_group_told(struct table *table, pid_t group)
{
	for (size_t i = 0; i < table->count; i++) {
		struct process *process = &table->process[i];
		if (process->group != group || process->zombie)
			continue;
		process->told = true;
		process->due = false;
	}
}

static int tell_due(struct table *table)
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
static int remember(struct descendants_told *told, const struct table *table)
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
	struct table table = {0};
	if (root == getpid() && has_no_child_but(group))
		return 0;
	DIR *directory = open_proc();
	int result = directory == NULL ? -errno : 0;
	if (directory != NULL) {
		/* Before the list, which then has what these have forked until now. */
		if (group > 1)
			kill(-group, SIGTERM);
		result = read_table(directory, &table);
		closedir(directory);
	} else {
		terminate_blindly(group);
	}
	if (result == 0) {
		mark_below(&table, root);
		mark_told(&table, told);
		mark_due(&table);
		if (group > 1)
			mark_group_told(&table, group);
		result = tell_due(&table);
		if (remember(told, &table) != 0)
			result = -ENOMEM;
	}
	free(table.process);
	return result;
}

void descendants_told_free(struct descendants_told *told)
{
	free(told->process);
	*told = (struct descendants_told){0};
}

int descendants_signal(pid_t root, int signal)
{
	struct table table = {0};
	DIR *directory = open_proc();
	if (directory == NULL)
		return -errno;
	int result = read_table(directory, &table);
	closedir(directory);
	if (result != 0)
		goto out;
	mark_below(&table, root);
	for (size_t i = 0; i < table.count; i++) {
		const struct process *process = &table.process[i];
		if (!process->below || process->zombie)
			continue;
		if (kill(process->pid, signal) == 0)
			result++;
	}
out:
	free(table.process);
	return result;
}

int descendants_each_of_group(pid_t group, int (*each)(pid_t pid, void *context), void *context)
{
	struct table table = {0};
	DIR *directory = opendir("/proc");
	if (directory == NULL)
		return -errno;
	int error = read_table(directory, &table);
	closedir(directory);
	bool done = error != 0;
	for (size_t i = 0; !done && i < table.count; i++) {
		const struct process *process = &table.process[i];
		if (process->group == group && !process->zombie)
			done = each(process->pid, context) != 0;
	}
	free(table.process);
	return error;
}
