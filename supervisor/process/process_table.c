/* Reads who runs from /proc, and tells who is below whom. */
#include "supervisor/process/process_table.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "supervisor/process/process_stat.h"

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

int process_table_read(DIR *directory, struct process_table *table)
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

static void find_parents(struct process_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		struct process *child = &table->process[i];
		struct process wanted = {.pid = child->parent};
		child->below = false;
		child->up = bsearch(&wanted, table->process, table->count, sizeof wanted, by_pid);
	}
}

/* Passes until one finds nobody new: as many as the tree is deep, at worst. */
void process_table_mark_below(struct process_table *table, pid_t root)
{
	bool found = table->count > 0;
	if (found)
		qsort(table->process, table->count, sizeof *table->process, by_pid);
	find_parents(table);
	while (found) {
		found = false;
		for (size_t i = 0; i < table->count; i++) {
			struct process *child = &table->process[i];
			if (child->below)
				continue;
			child->below =
				child->parent == root || (child->up != NULL && child->up->below);
			found = found || child->below;
		}
	}
}

void process_table_free(struct process_table *table)
{
	free(table->process);
	*table = (struct process_table){0};
}
