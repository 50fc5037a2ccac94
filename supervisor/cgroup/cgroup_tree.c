/* The part of the cgroup v2 tree that is ours: where it is, made and undone. */
#include "supervisor/cgroup/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_leftover.h"
#include "supervisor/cgroup/cgroup_private.h"
#include "supervisor/policy/cgroup_text.h"

#define SELF_NAME "supervisor"

static int count_others(pid_t pid, void *context)
{
	unsigned *others = context;
	if (pid != getpid())
		(*others)++;
	return 0;
}

static bool is_unlimited(int fd, const char *file)
{
	char text[64];
	uint64_t bytes;
	int length = cgroup_directory_read(fd, file, text, sizeof text);
	if (length == -ENOENT)
		return true;
	return length >= 0 && cgroup_text_u64(text, (size_t)length, &bytes) == 0 &&
	       bytes == UINT64_MAX;
}

static void say(char why[CGROUP_WHY_BYTES], const char *what, int error)
{
	snprintf(why, CGROUP_WHY_BYTES, "%s: %s", what, strerror(-error));
}

static int name_base(struct cgroup_tree *tree, const char *parent)
{
	const char *slash = parent[0] == '\0' || parent[strlen(parent) - 1] != '/' ? "/" : "";
	int length = snprintf(tree->base, sizeof tree->base, "%s%s" CGROUP_LEFTOVER_BASE "%ld",
		parent, slash, (long)getpid());
	return (size_t)length < sizeof tree->base ? 0 : -ENAMETOOLONG;
}

/* BASE is to be the one that was left, when that stands where ours would. */
static void choose_left(struct cgroup_tree *tree, const char *left)
{
	struct stat status;
	const char *name = strrchr(tree->base, '/');
	if (left == NULL || name == NULL)
		return;
	size_t parent = (size_t)(name - tree->base) + 1;
	const char *prefix = CGROUP_LEFTOVER_BASE;
	if (strncmp(left, tree->base, parent) != 0 || strchr(left + parent, '/') != NULL ||
		strncmp(left + parent, prefix, strlen(prefix)) != 0 ||
		strlen(left) >= sizeof tree->base || lstat(left, &status) != 0 ||
		!S_ISDIR(status.st_mode) || status.st_uid != geteuid())
		return;
	memcpy(tree->base, left, strlen(left) + 1);
	tree->is_left = true;
}

/* Rung 3 of the ladder: may BASE stand beside our own cgroup? */
static int choose_sibling(struct cgroup_tree *tree, unsigned others, char why[CGROUP_WHY_BYTES])
{
	char parent[CGROUP_PATH_BYTES];
	int parent_fd = -1;
	if (!is_unlimited(tree->own_fd, "memory.max") ||
		!is_unlimited(tree->own_fd, "memory.high")) {
		snprintf(why, CGROUP_WHY_BYTES,
			"%u other process%s in it, and a cgroup beside it would escape its limit",
			others, others == 1 ? "" : "es");
		return -EBUSY;
	}
	memcpy(parent, tree->own, strlen(tree->own) + 1);
	char *slash = strrchr(parent, '/');
	if (slash == NULL || strcmp(tree->own, tree->mount) == 0)
		return -EBUSY;
	*slash = '\0';
	int error = cgroup_directory_open(parent, &parent_fd);
	if (error == 0 && !cgroup_directory_hands_out(parent_fd, "memory"))
		error = -EOPNOTSUPP;
	if (parent_fd >= 0)
		close(parent_fd);
	if (error != 0)
		snprintf(why, CGROUP_WHY_BYTES,
			"%u other process%s in it, and its parent hands out no memory", others,
			others == 1 ? "" : "es");
	else
		error = name_base(tree, parent);
	return error;
}

static int choose_base(
	struct cgroup_tree *tree, const struct mode *mode, char why[CGROUP_WHY_BYTES])
{
	unsigned others = 0;
	if (mode->machine_root) {
		name_base(tree, tree->own);
		if (cgroup_directory_hands_out(tree->own_fd, "memory"))
			return 0;
		int error =
			cgroup_directory_write(tree->own_fd, "cgroup.subtree_control", "+memory");
		if (error == 0)
			tree->above_fd = tree->own_fd;
		else
			say(why, "memory cannot be switched on at the root", error);
		return error;
	}
	int error = cgroup_directory_each(tree->own_fd, count_others, &others);
	if (error != 0) {
		say(why, "cgroup.procs", error);
		return error;
	}
	if (others == 0 || mode->namespace_root) {
		memcpy(tree->base, tree->own, strlen(tree->own) + 1);
		tree->everybody = true;
		return 0;
	}
	return choose_sibling(tree, others, why);
}

static int make_directory(const char *path, bool *made, int *fd)
{
	if (mkdir(path, 0755) == 0)
		*made = true;
	else if (errno != EEXIST)
		return -errno;
	return cgroup_directory_open(path, fd);
}

/* BASE and BASE/supervisor are there, we are in the latter, and BASE hands out memory. */
static int settle(struct cgroup_tree *tree, char why[CGROUP_WHY_BYTES])
{
	char self[CGROUP_PATH_BYTES + sizeof SELF_NAME];
	int error = tree->everybody ? cgroup_directory_open(tree->base, &tree->base_fd)
				    : make_directory(tree->base, &tree->made_base, &tree->base_fd);
	if (error != 0) {
		say(why, "a cgroup for the services cannot be made", error);
		return error;
	}
	snprintf(self, sizeof self, "%s/" SELF_NAME, tree->base);
	error = make_directory(self, &tree->made_self, &tree->self_fd);
	if (error != 0) {
		say(why, "a leaf for the supervisor cannot be made", error);
		return error;
	}
	/* To be removed as if we had made them. */
	tree->made_base |= tree->is_left;
	tree->made_self |= tree->is_left;
	error = tree->everybody ? cgroup_directory_move_all(tree->own_fd, tree->self_fd)
				: cgroup_directory_move(tree->self_fd, getpid());
	if (error != 0) {
		say(why, "processes cannot be moved to the supervisor's leaf", error);
		return error;
	}
	if (cgroup_directory_hands_out(tree->base_fd, "memory"))
		return 0;
	error = cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "+memory");
	if (error != 0)
		say(why, "memory cannot be switched on for leaves", error);
	else
		tree->switched_on = true;
	return error;
}

int cgroup_tree_open(const struct mode *mode, const char *left, struct cgroup_tree **tree,
	char why[CGROUP_WHY_BYTES])
{
	struct cgroup_tree *made = calloc(1, sizeof *made);
	if (made == NULL) {
		say(why, "no memory", -ENOMEM);
		return -ENOMEM;
	}
	made->own_fd = -1;
	made->base_fd = -1;
	made->self_fd = -1;
	made->above_fd = -1;
	made->lock_fd = -1;
	made->library = CGROUP_LIBRARY_NONE;
	memcpy(made->own, mode->directory, strlen(mode->directory) + 1);
	memcpy(made->mount, mode->mount, strlen(mode->mount) + 1);
	int error = cgroup_directory_open(made->own, &made->own_fd);
	if (error != 0)
		say(why, "our own cgroup cannot be opened", error);
	else
		error = choose_base(made, mode, why);
	if (error == 0 && !made->everybody)
		choose_left(made, left);
	if (error == 0)
		error = settle(made, why);
	if (error != 0) {
		cgroup_tree_close(made, 0);
		return error;
	}
	*tree = made;
	return 0;
}

int cgroup_tree_claim(struct cgroup_tree *tree, const char *owner)
{
	int error = cgroup_leftover_lock(tree->base, &tree->lock_fd);
	tree->owner = error == 0 ? owner : NULL;
	return error;
}

static bool is_kept(const char *path, const void *context)
{
	const struct cgroup_tree *tree = context;
	const struct cgroup_leaf *leaf = tree->leaves;
	while (leaf != NULL && strcmp(leaf->path, path) != 0)
		leaf = leaf->next;
	return leaf != NULL;
}

int cgroup_tree_end_leftovers(struct cgroup_tree *tree)
{
	unsigned ended = 0;
	int error = 0;
	if (tree->owner == NULL)
		return 0;
	cgroup_leftover_end(tree->base, tree->owner, is_kept, tree);
	if (tree->made_base)
		error = cgroup_leftover_end_beside(tree->base, tree->owner, &ended);
	if (error != 0)
		tree->owner = NULL;
	return error;
}

void cgroup_tree_settle(struct cgroup_tree *tree)
{
	cgroup_library_end(&tree->library);
}

const char *cgroup_controller_name(enum cgroup_controller controller)
{
	static const char *const names[CGROUP_CONTROLLERS] = {
		[CGROUP_PIDS] = "pids",
		[CGROUP_CPU] = "cpu",
		[CGROUP_IO] = "io",
	};
	return names[controller];
}

static int switch_controller(int fd, char sign, enum cgroup_controller controller)
{
	char text[16];
	snprintf(text, sizeof text, "%c%s", sign, cgroup_controller_name(controller));
	return cgroup_directory_write(fd, "cgroup.subtree_control", text);
}

int cgroup_tree_switch_on(struct cgroup_tree *tree, enum cgroup_controller controller)
{
	const char *name = cgroup_controller_name(controller);
	if (cgroup_directory_hands_out(tree->base_fd, name))
		return 0;
	int error = switch_controller(tree->base_fd, '+', controller);
	if (error != 0 && tree->made_base && !cgroup_directory_hands_out(tree->own_fd, name) &&
		switch_controller(tree->own_fd, '+', controller) == 0) {
		tree->above[controller] = true;
		error = switch_controller(tree->base_fd, '+', controller);
	}
	tree->on[controller] = error == 0;
	return error;
}

const char *cgroup_tree_directory(const struct cgroup_tree *tree)
{
	return tree->base;
}

static int count_child(const char *path)
{
	struct stat status;
	/* Two links and one for every folder in it: cgroupfs counts them. */
	return stat(path, &status) == 0 && status.st_nlink > 2 ? (int)status.st_nlink - 2 : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void cgroup_report_left(const char *path, const char *what, int error)
{
	if (error != 0 && error != -ENOENT)
		log_warn("cgroup %s: %s: %s", path, what, strerror(-error));
}

static void switch_off(const bool which[CGROUP_CONTROLLERS], const char *path, int fd)
{
	char what[48];
	for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
		if (!which[i])
			continue;
		snprintf(what, sizeof what, "%s stays switched on", cgroup_controller_name(i));
		cgroup_report_left(path, what, switch_controller(fd, '-', i));
	}
}

/* Backwards through settle() and choose_base(). */
static void unsettle(struct cgroup_tree *tree)
{
	char self[CGROUP_PATH_BYTES + sizeof SELF_NAME];
	snprintf(self, sizeof self, "%s/" SELF_NAME, tree->base);
	switch_off(tree->on, tree->base, tree->base_fd);
	if (tree->switched_on)
		cgroup_report_left(tree->base, "memory stays switched on",
			cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "-memory"));
	if (tree->self_fd >= 0)
		cgroup_report_left(self, "processes stay in it",
			cgroup_directory_move_all(tree->self_fd, tree->own_fd));
	if (tree->made_self && rmdir(self) != 0)
		cgroup_report_left(self, "stays behind", -errno);
	if (tree->made_base && rmdir(tree->base) != 0)
		cgroup_report_left(tree->base, "stays behind", -errno);
	/* At the root of the machine others may have come to rely on it meanwhile. */
	if (tree->above_fd >= 0 && count_child(tree->own) == 0)
		cgroup_report_left(tree->own, "memory stays switched on",
			cgroup_directory_write(
				tree->above_fd, "cgroup.subtree_control", "-memory"));
	if (count_child(tree->own) == 0)
		switch_off(tree->above, tree->own, tree->own_fd);
}

void cgroup_tree_close(struct cgroup_tree *tree, uint32_t wait_ms)
{
	if (tree == NULL)
		return;
	cgroup_tree_settle(tree);
	cgroup_leaves_remove(tree, wait_ms);
	unsettle(tree);
	close_fd(&tree->self_fd);
	close_fd(&tree->base_fd);
	close_fd(&tree->own_fd);
	close_fd(&tree->lock_fd);
	free(tree);
}
