#ifndef SUPERVISOR_PROCESS_DESCENDANTS_MARKED_H
#define SUPERVISOR_PROCESS_DESCENDANTS_MARKED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Processes that are known by a text (NAME=value) in the environment that they were started with.
 *
 * A process can put the text into its own environment and into nobody else's, so one that lies
 * is signalled itself and no other is.
 */

#define DESCENDANTS_TEXT_BYTES 272

struct descendants_mark {
	char text[DESCENDANTS_TEXT_BYTES];
	pid_t root;
	pid_t except_group; /* its members are left out */
	int signal;         /* 0 only counts */
	int count;          /* result: how many were signalled */
	void *context;      /* the caller's */
};

/*
 * For each mark: its signal to every process below its root that has its text, and to what is below
 * one of these, zombies left out.  All from one reading of /proc.  Puts the marks, whose texts
 * differ, into another order.
 *
 * The table is old when it is used (process_table.h).  Right before a process is signalled its
 * start time is compared with the table's, so that a pid which has become another's is left alone.
 *
 * Where the kernel lists children, the table is not read when every root is us and we have none.
 *
 * 0, or -errno: -ENOMEM, or what kept /proc from being read; not all were signalled then.
 */
int descendants_signal_marks(struct descendants_mark *mark, size_t count);

/* The same for one text.  How many were signalled, or -errno; -ENAMETOOLONG where the text is
 * longer than a mark can hold. */
int descendants_signal_marked(pid_t root, const char *text, pid_t except_group, int signal);

/* Whether the process has the text (NAME=value) in the environment that it was started with. */
bool descendants_has_text(pid_t pid, const char *text);

#endif
