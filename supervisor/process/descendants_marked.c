/* Signals the processes below one that bear a mark in their environment. */
#include "supervisor/process/descendants_marked.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/process/process_stat.h"
#include "supervisor/process/process_table.h"

/* A process that has the text of a mark itself. */
struct bearer {
	struct process *process;
	struct descendants_mark *mark;
};

struct bearers {
	struct bearer *bearer; /* owned */
	size_t count;
	size_t room;
};

/* NULL: another user's cannot be read without CAP_SYS_PTRACE; then no text is known to be there. */
static FILE *open_environment(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	return fopen(path, "re");
}

bool descendants_has_text(pid_t pid, const char *text)
{
	char *entry = NULL;
	size_t room = 0;
	bool found = false;
	FILE *stream = open_environment(pid);
	if (stream == NULL)
		return false;
	while (!found && getdelim(&entry, &room, '\0', stream) > 0)
		found = strcmp(entry, text) == 0;
	free(entry);
	fclose(stream);
	return found;
}

static int by_text(const void *a, const void *b)
{
	const struct descendants_mark *left = a;
	const struct descendants_mark *right = b;
	return strcmp(left->text, right->text);
}

static int compare_entry(const void *entry, const void *mark)
{
	return strcmp(entry, ((const struct descendants_mark *)mark)->text);
}

static int add_bearer(
	struct bearers *bearers, struct process *process, struct descendants_mark *mark)
{
	if (bearers->count == bearers->room) {
		size_t room = bearers->room * 2 + 64;
		struct bearer *grown = realloc(bearers->bearer, room * sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		bearers->bearer = grown;
		bearers->room = room;
	}
	bearers->bearer[bearers->count++] = (struct bearer){.process = process, .mark = mark};
	return 0;
}

/* The marks are in the order of their texts. */
static int read_environment(struct bearers *bearers, struct process *process,
	struct descendants_mark *mark, size_t count)
{
	char *entry = NULL;
	size_t room = 0;
	int error = 0;
	FILE *stream = open_environment(process->pid);
	if (stream == NULL)
		return 0;
	while (error == 0 && getdelim(&entry, &room, '\0', stream) > 0) {
		struct descendants_mark *found =
			bsearch(entry, mark, count, sizeof *mark, compare_entry);
		if (found != NULL)
			error = add_bearer(bearers, process, found);
	}
	free(entry);
	fclose(stream);
	return error;
}

static int find_bearers(struct bearers *bearers, struct process_table *table,
	struct descendants_mark *mark, size_t count)
{
	int error = 0;
	for (size_t i = 0; error == 0 && i < table->count; i++)
		if (table->process[i].below && !table->process[i].zombie)
			error = read_environment(bearers, &table->process[i], mark, count);
	return error;
}

/* Those that bear the mark, and in passes, until one finds nobody new, what is below them. */
static void mark_bearers(struct process_table *table, const struct bearers *bearers,
	const struct descendants_mark *mark)
{
	bool found = false;
	for (size_t i = 0; i < table->count; i++)
		table->process[i].marked = false;
	for (size_t i = 0; i < bearers->count; i++) {
		if (bearers->bearer[i].mark != mark)
			continue;
		bearers->bearer[i].process->marked = true;
		found = true;
	}
	while (found) {
		found = false;
		for (size_t i = 0; i < table->count; i++) {
			struct process *child = &table->process[i];
			if (child->marked || !child->below)
				continue;
			child->marked = child->up != NULL && child->up->marked;
			found = found || child->marked;
		}
	}
}

/* The pid has not become that of another process since the table was read. */
static bool is_same(int proc_fd, const struct process *process)
{
	struct process_stat stat;
	return process_stat_read(proc_fd, process->pid, &stat) == 0 &&
	       stat.start_ticks == process->start_ticks;
}

static int signal_bearers(
	int proc_fd, const struct process_table *table, const struct descendants_mark *mark)
{
	int count = 0;
	for (size_t i = 0; i < table->count; i++) {
		const struct process *process = &table->process[i];
		if (process->marked && !process->zombie && process->group != mark->except_group &&
			is_same(proc_fd, process) && kill(process->pid, mark->signal) == 0)
			count++;
	}
	return count;
}

static int signal_below(int proc_fd, struct process_table *table, pid_t root,
	struct descendants_mark *mark, size_t count)
{
	struct bearers bearers = {0};
	process_table_mark_below(table, root);
	int error = find_bearers(&bearers, table, mark, count);
	for (size_t i = 0; error == 0 && i < count; i++) {
		if (mark[i].root != root)
			continue;
		mark_bearers(table, &bearers, &mark[i]);
		mark[i].count = signal_bearers(proc_fd, table, &mark[i]);
	}
	free(bearers.bearer);
	return error;
}

/* Whether an earlier mark has the same root. */
static bool is_done(const struct descendants_mark *mark, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (mark[i].root == mark[index].root)
			return true;
	return false;
}

static bool is_nobody_below(const struct descendants_mark *mark, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mark[i].root != getpid())
			return false;
	return descendants_are_known(NULL, 0);
}

int descendants_signal_marks(struct descendants_mark *mark, size_t count)
{
	struct process_table table = {0};
	for (size_t i = 0; i < count; i++)
		mark[i].count = 0;
	if (is_nobody_below(mark, count))
		return 0;
	DIR *directory = opendir("/proc");
	if (directory == NULL)
		return -errno;
	qsort(mark, count, sizeof *mark, by_text);
	int error = process_table_read(directory, &table);
	for (size_t i = 0; error == 0 && i < count; i++)
		if (!is_done(mark, i))
			error = signal_below(dirfd(directory), &table, mark[i].root, mark, count);
	closedir(directory);
	process_table_free(&table);
	return error;
}

int descendants_signal_marked(pid_t root, const char *text, pid_t except_group, int signal)
{
	struct descendants_mark mark = {
		.root = root, .except_group = except_group, .signal = signal};
	if (strlen(text) >= sizeof mark.text)
		return -ENAMETOOLONG;
	memcpy(mark.text, text, strlen(text) + 1);
	int error = descendants_signal_marks(&mark, 1);
	return error != 0 ? error : mark.count;
}
