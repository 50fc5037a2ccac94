#ifndef TESTS_SUPPORT_FAKE_CGROUP_H
#define TESTS_SUPPORT_FAKE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/cgroup/mode.h"
#include "tests/support/fake_tree.h"

/*
 * A cgroup v2 hierarchy of plain files that behaves like one as far as the
 * supervisor can tell.
 *
 * The linker wraps mkdir, rmdir, write, open, poll and clock_gettime (WRAP_cgroup in the Makefile):
 *
 *   mkdir   fills the new cgroup with control files; memory.* only where the
 *           parent hands out memory
 *   rmdir   -EBUSY while a process or a child cgroup is in it
 *   write   to cgroup.procs moves the process, to cgroup.kill kills, to
 *           cgroup.subtree_control switches memory on or off; to other
 *           control files it replaces the text
 *   open    of "/" gives the fake tree, in which proc/self/cgroup and
 *           proc/self/mountinfo are written by fake_cgroup_open
 *   poll    without descriptors sleeps no time: the clock goes on by it
 *
 * The hierarchy is at the tree's own path below "/", inside the tree and out
 * of it alike: absolute paths are the same with and without the tree as root.
 *
 * Processes are those of fake_children and the test itself.  One that has
 * ended is in no cgroup any more.
 */

struct fake_cgroup {
	struct fake_tree tree;
	char mount[64]; /* absolute */
	/* The next write to a control file of that name fails so; NULL = none does. */
	const char *refuse_file;
	int refuse_errno;
	/* Every mkdir fails so; 0 = none does. */
	int refuse_mkdir_errno;
	/* Kernels before 5.14. */
	bool no_kill_file;
};

extern struct fake_cgroup fake_cgroup;

/* Makes the hierarchy, and puts the test into the cgroup own ("" is the root of it, which has no
 * cgroup.type where machine_root says so). */
void fake_cgroup_open(const char *own, bool machine_root);
void fake_cgroup_close(void);

/* Mode A in the cgroup own. */
struct mode fake_cgroup_mode(const char *own);

/* cgroup is relative to the mount. */
void fake_cgroup_make(const char *cgroup);
void fake_cgroup_put(const char *cgroup, pid_t pid);
void fake_cgroup_take_out(pid_t pid);
bool fake_cgroup_has(const char *cgroup, pid_t pid);
bool fake_cgroup_exists(const char *cgroup);

/* The whole text of a control file is text, but for a newline at its end. */
bool fake_cgroup_reads(const char *cgroup, const char *file, const char *text);
void fake_cgroup_set(const char *cgroup, const char *file, const char *text);
void fake_cgroup_remove_file(const char *cgroup, const char *file);

#endif
