#ifndef SUPERVISOR_CGROUP_CGROUP_H
#define SUPERVISOR_CGROUP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/cgroup/mode.h"

/*
 * Our part of the cgroup v2 tree, in modes A and B:
 *
 *   BASE                  +memory in cgroup.subtree_control
 *   BASE/supervisor       ourselves
 *   BASE/NAME             a leaf per service: limits, brake, triggers, kill
 *
 * A cgroup with processes of its own cannot hand controllers to children, so
 * somebody has to move.  Who, is decided by the first of these that fits:
 *
 *   1. We are in the root of the machine's hierarchy.  It may hold processes, and
 *      has no limit, so nobody moves but us: BASE is a new child "spillway-PID".
 *   2. We are alone in our cgroup, or it is the root of our cgroup namespace (a
 *      container, whose processes are all ours to look after).  BASE is that cgroup;
 *      all of its processes move to BASE/supervisor.
 *   3. Strangers live in our cgroup, such as the shell that started us.  They are
 *      left alone.  If the parent hands out memory, and our cgroup has no limit
 *      that we would escape, BASE is a new sibling "spillway-PID".
 *   4. Otherwise there are no leaves, and the caller goes on as in mode C.
 *
 * Closing undoes all of it in reverse order: leaves removed, memory switched
 * off where it was off, everybody moved back, made directories removed.
 *
 * Leaves are made and given their limits by libcgroup (cgroup_library.h), in a process that
 * cgroup_tree_settle() ends, and by hand where it cannot do that.
 */

#define CGROUP_WHY_BYTES 256

struct cgroup_tree;
struct cgroup_leaf;

/* left: the BASE of an earlier supervisor, which is taken over where ours would stand beside it;
 * NULL = none.  0, or -errno with the reason in words in why (rung 4, or a write that was refused).
 */
int cgroup_tree_open(const struct mode *mode, const char *left, struct cgroup_tree **tree,
	char why[CGROUP_WHY_BYTES]);

/* The tree is for owner, a text that outlives it.  -EALREADY: another process has BASE. */
int cgroup_tree_claim(struct cgroup_tree *tree, const char *owner);

/* Ends what an earlier supervisor has left for the same owner, but for leaves that were adopted
 * (cgroup_leftover.h).  -EALREADY: one that lives runs them. */
int cgroup_tree_end_leftovers(struct cgroup_tree *tree);

/* No leaf is expected to be made soon. */
void cgroup_tree_settle(struct cgroup_tree *tree);

/* The controllers that are switched on only when a service needs them. */
enum cgroup_controller { CGROUP_PIDS, CGROUP_CPU, CGROUP_IO, CGROUP_CONTROLLERS };

/* As the kernel calls it. */
const char *cgroup_controller_name(enum cgroup_controller controller);

/* Leaves have the controller's files from now on.  0 or -errno. */
int cgroup_tree_switch_on(struct cgroup_tree *tree, enum cgroup_controller controller);

/* Absolute path of BASE; it lives as long as the tree. */
const char *cgroup_tree_directory(const struct cgroup_tree *tree);

/* Removes every leaf, killing what still runs in it, and undoes the rest; gives up waiting for a
 * leaf to become empty after wait_ms in all, and logs what stays behind.  Frees the tree. */
void cgroup_tree_close(struct cgroup_tree *tree, uint32_t wait_ms);

/* A leaf with that memory.max and memory.high (UINT64_MAX = "max"); owned by the tree.  A name
 * that the kernel or we use already is changed, so ask the leaf for its directory. */
int cgroup_leaf_create(struct cgroup_tree *tree, const char *name, uint64_t max_bytes,
	uint64_t high_bytes, struct cgroup_leaf **leaf);

/* The leaf of that directory's name that an earlier supervisor has left in BASE for the same owner,
 * with the limits that it has.  -ENOENT: there is none. */
int cgroup_leaf_adopt(struct cgroup_tree *tree, const char *directory, struct cgroup_leaf **leaf);
struct cgroup_tree *cgroup_leaf_tree(const struct cgroup_leaf *leaf);
const char *cgroup_leaf_directory(const struct cgroup_leaf *leaf);
int cgroup_leaf_fd(const struct cgroup_leaf *leaf);

/* Moves a process, with all its threads, into the leaf. */
int cgroup_leaf_attach(struct cgroup_leaf *leaf, pid_t pid);

/* SIGKILL to all in it, through cgroup.kill where the kernel has it, else one by one.
 * Does not wait. */
int cgroup_leaf_kill(struct cgroup_leaf *leaf);

/* SIGNAL to all in it, one by one.  The count of processes, or -errno. */
int cgroup_leaf_signal(struct cgroup_leaf *leaf, int signal);

bool cgroup_leaf_empty(const struct cgroup_leaf *leaf);

/* Somebody has removed it, which the kernel allows while nothing runs in it.  false where that
 * cannot be found out. */
bool cgroup_leaf_gone(const struct cgroup_leaf *leaf);

/* Kills, waits until empty for at most wait_ms, removes and frees.  -EBUSY: it stays. */
int cgroup_leaf_remove(struct cgroup_leaf *leaf, uint32_t wait_ms);

#endif
