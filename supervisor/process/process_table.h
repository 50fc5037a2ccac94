#ifndef SUPERVISOR_PROCESS_PROCESS_TABLE_H
#define SUPERVISOR_PROCESS_PROCESS_TABLE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Who runs, as /proc tells it.  The table is old when it is used: a process that is forked while it
 * is read may be missing, and one that is in it may have ended.
 */

struct process {
	pid_t pid;
	pid_t parent;
	pid_t group;
	bool zombie;
	bool below; /* the root of process_table_mark_below() */
	bool marked;
	bool told;
	bool due;                 /* to be told */
	const struct process *up; /* the parent; NULL = it is not in the table */
	uint64_t start_ticks;
};

/* All zero = empty. */
struct process_table {
	struct process *process; /* owned */
	size_t count;
	size_t room;
};

/* Adds all that a directory such as /proc lists.  0 or -ENOMEM. */
int process_table_read(DIR *directory, struct process_table *table);

/* Puts the table in the order of the pids, and notes who is below root. */
void process_table_mark_below(struct process_table *table, pid_t root);

void process_table_free(struct process_table *table);

#endif
