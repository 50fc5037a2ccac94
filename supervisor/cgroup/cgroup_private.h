#ifndef SUPERVISOR_CGROUP_CGROUP_PRIVATE_H
#define SUPERVISOR_CGROUP_CGROUP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/cgroup/cgroup.h"
#include "supervisor/cgroup/cgroup_library.h"

/* What the tree (cgroup_tree.c) and its leaves (cgroup.c) share.  For nobody else. */

#define CGROUP_PATH_BYTES (MODE_PATH_BYTES + 128)

struct cgroup_leaf {
	struct cgroup_tree *tree;
	struct cgroup_leaf *next;
	char path[CGROUP_PATH_BYTES];
	int fd;
};

/* The flags say what has to be undone. */
struct cgroup_tree {
	char own[CGROUP_PATH_BYTES]; /* where we were found, and go back to */
	char base[CGROUP_PATH_BYTES];
	char mount[CGROUP_PATH_BYTES];
	int own_fd;
	int base_fd;
	int self_fd;
	int lock_fd;
	const char *owner; /* NULL = nobody */
	int above_fd;      /* where "+memory" had to be written above BASE, else -1 */
	bool everybody;    /* all of own's processes are ours to move */
	bool is_left;      /* BASE is that of an earlier supervisor */
	bool made_base;
	bool made_self;
	bool switched_on;               /* memory, in BASE */
	bool on[CGROUP_CONTROLLERS];    /* that one likewise */
	bool above[CGROUP_CONTROLLERS]; /* it had to be written above BASE as well */
	struct cgroup_library library;
	bool by_hand; /* it cannot make our leaves */
	struct cgroup_leaf *leaves;
};

/* Removes every leaf, killing what still runs in it, for at most wait_ms in all. */
void cgroup_leaves_remove(struct cgroup_tree *tree, uint32_t wait_ms);

/* What stays behind is logged. */
void cgroup_report_left(const char *path, const char *what, int error);

#endif
