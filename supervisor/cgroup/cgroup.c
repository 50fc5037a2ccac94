/* The part of the cgroup v2 tree that is ours: the base and a leaf for each service. */
#include "supervisor/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_leftover.h"
#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"
#include "supervisor/policy/cgroup_text.h"

/*
 * Leaves are made, filled and removed by libcgroup.  Version 2.0.2 has its limits, and
 * where one is met the same is done on the files:
 *
 *   - names are relative to the mount point it found first, so it is of no use where
 *     that is not ours;
 *   - creating writes "+memory" to the parents' subtree_control even where memory is
 *     on, which fails without write access to all of them;
 *   - a cgroup without controllers is not created at all, and nothing is attached
 *     to it, so BASE and BASE/supervisor are plain mkdir;
 *   - removing moves what still runs to the parent, unless asked for empty ones only.
 */

#define SELF_NAME "supervisor"
#define PATH_BYTES (MODE_PATH_BYTES + 128)

struct cgroup_leaf {
	struct cgroup_tree *tree;
	struct cgroup_leaf *next;
	char path[PATH_BYTES];
	int fd;
	struct cgroup *library; /* NULL = by hand */
};

/* The flags say what has to be undone. */
struct cgroup_tree {
	char own[PATH_BYTES]; /* where we were found, and go back to */
	char base[PATH_BYTES];
	char mount[PATH_BYTES];
	int own_fd;
	int base_fd;
	int self_fd;
	int lock_fd;
	const char *owner; /* NULL = nobody */
	int above_fd;      /* where "+memory" had to be written above BASE, else -1 */
	bool everybody;    /* all of own's processes are ours to move */
	bool made_base;
	bool made_self;
	bool switched_on; /* memory, in BASE */
	bool pids_on;     /* pids likewise */
	bool pids_above;  /* had to be written above BASE as well */
	bool library;
	struct cgroup_leaf *leaves;
};

static int open_library(struct cgroup_tree *tree)
{
	char *point = NULL;
	int error = cgroup_init();
	if (error == 0)
		error = cgroup_get_subsys_mount_point("memory", &point);
	tree->library = error == 0 && strcmp(point, tree->mount) == 0;
	free(point);
	return tree->library ? 0 : -ENOSYS;
}

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
	int length = snprintf(
		tree->base, sizeof tree->base, "%s%sspillway-%ld", parent, slash, (long)getpid());
	return (size_t)length < sizeof tree->base ? 0 : -ENAMETOOLONG;
}

/* Rung 3 of the ladder: may BASE stand beside our own cgroup? */
static int choose_sibling(struct cgroup_tree *tree, unsigned others, char why[CGROUP_WHY_BYTES])
{
	char parent[PATH_BYTES];
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
	char self[PATH_BYTES + sizeof SELF_NAME];
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

int cgroup_tree_open(const struct mode *mode, struct cgroup_tree **tree, char why[CGROUP_WHY_BYTES])
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
	memcpy(made->own, mode->directory, strlen(mode->directory) + 1);
	memcpy(made->mount, mode->mount, strlen(mode->mount) + 1);
	int error = cgroup_directory_open(made->own, &made->own_fd);
	if (error != 0)
		say(why, "our own cgroup cannot be opened", error);
	else
		error = choose_base(made, mode, why);
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
	unsigned ended = 0;
	int error = cgroup_leftover_lock(tree->base, &tree->lock_fd);
	if (error != 0)
		return error;
	if (tree->made_base)
		error = cgroup_leftover_end_beside(tree->base, owner, &ended);
	else
		cgroup_leftover_end(tree->base, owner);
	tree->owner = error == 0 ? owner : NULL;
	return error;
}

int cgroup_tree_switch_pids_on(struct cgroup_tree *tree)
{
	if (cgroup_directory_hands_out(tree->base_fd, "pids"))
		return 0;
	int error = cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "+pids");
	if (error != 0 && tree->made_base && !cgroup_directory_hands_out(tree->own_fd, "pids") &&
		cgroup_directory_write(tree->own_fd, "cgroup.subtree_control", "+pids") == 0) {
		tree->pids_above = true;
		error = cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "+pids");
	}
	tree->pids_on = error == 0;
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

static void report_left(const char *path, const char *what, int error)
{
	if (error != 0 && error != -ENOENT)
		log_warn("cgroup %s: %s: %s", path, what, strerror(-error));
}

/* Backwards through settle() and choose_base(). */
static void unsettle(struct cgroup_tree *tree)
{
	char self[PATH_BYTES + sizeof SELF_NAME];
	snprintf(self, sizeof self, "%s/" SELF_NAME, tree->base);
	if (tree->pids_on)
		report_left(tree->base, "pids stays switched on",
			cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "-pids"));
	if (tree->switched_on)
		report_left(tree->base, "memory stays switched on",
			cgroup_directory_write(tree->base_fd, "cgroup.subtree_control", "-memory"));
	if (tree->self_fd >= 0)
		report_left(self, "processes stay in it",
			cgroup_directory_move_all(tree->self_fd, tree->own_fd));
	if (tree->made_self && rmdir(self) != 0)
		report_left(self, "stays behind", -errno);
	if (tree->made_base && rmdir(tree->base) != 0)
		report_left(tree->base, "stays behind", -errno);
	/* At the root of the machine others may have come to rely on it meanwhile. */
	if (tree->above_fd >= 0 && count_child(tree->own) == 0)
		report_left(tree->own, "memory stays switched on",
			cgroup_directory_write(
				tree->above_fd, "cgroup.subtree_control", "-memory"));
	if (tree->pids_above && count_child(tree->own) == 0)
		report_left(tree->own, "pids stays switched on",
			cgroup_directory_write(tree->own_fd, "cgroup.subtree_control", "-pids"));
}

static void free_leaf(struct cgroup_leaf *leaf)
{
	close_fd(&leaf->fd);
	cgroup_free(&leaf->library);
	free(leaf);
}

/* Empties it, for at most wait_ms, and removes its folder with all below. */
static int remove_directory(struct cgroup_leaf *leaf, uint32_t wait_ms)
{
	if (!cgroup_leaf_empty(leaf)) {
		cgroup_leaf_kill(leaf);
		if (!cgroup_directory_wait_empty(leaf->fd, wait_ms))
			return -EBUSY;
	}
	cgroup_directory_remove_below(leaf->path);
	if (leaf->library != NULL &&
		cgroup_delete_cgroup_ext(leaf->library, CGFLAG_DELETE_EMPTY_ONLY) == 0)
		return 0;
	return rmdir(leaf->path) == 0 || errno == ENOENT ? 0 : -errno;
}

static void remove_leaves(struct cgroup_tree *tree, uint32_t wait_ms)
{
	uint64_t until_ms = clock_now_ms() + wait_ms;
	for (struct cgroup_leaf *leaf = tree->leaves; leaf != NULL; leaf = leaf->next)
		if (!cgroup_leaf_empty(leaf))
			cgroup_leaf_kill(leaf);
	while (tree->leaves != NULL) {
		struct cgroup_leaf *leaf = tree->leaves;
		uint64_t now_ms = clock_now_ms();
		uint32_t left_ms = now_ms < until_ms ? (uint32_t)(until_ms - now_ms) : 0;
		report_left(leaf->path, "stays behind", remove_directory(leaf, left_ms));
		tree->leaves = leaf->next;
		free_leaf(leaf);
	}
}

void cgroup_tree_close(struct cgroup_tree *tree, uint32_t wait_ms)
{
	if (tree == NULL)
		return;
	remove_leaves(tree, wait_ms);
	unsettle(tree);
	close_fd(&tree->self_fd);
	close_fd(&tree->base_fd);
	close_fd(&tree->own_fd);
	close_fd(&tree->lock_fd);
	free(tree);
}

/* The kernel's own files contain dots, "supervisor" is ours, and a name that is taken gets a
 * number. */
static int name_leaf(const struct cgroup_tree *tree, const char *name, char path[PATH_BYTES])
{
	char plain[96];
	struct stat status;
	snprintf(plain, sizeof plain, "%.80s", name);
	for (char *at = plain; *at != '\0'; at++)
		if (*at == '/' || *at == '.' || (unsigned char)*at <= ' ')
			*at = '_';
	for (unsigned n = 1; n <= 100; n++) {
		int length = n == 1 ? snprintf(path, PATH_BYTES, "%s/%s", tree->base, plain)
				    : snprintf(path, PATH_BYTES, "%s/%s-%u", tree->base, plain, n);
		if (length >= PATH_BYTES)
			return -ENAMETOOLONG;
		if (stat(path, &status) != 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

static int limit_by_hand(int fd, uint64_t max_bytes, uint64_t high_bytes)
{
	int error = cgroup_directory_write_bytes(fd, "memory.max", max_bytes);
	if (error == 0)
		error = cgroup_directory_write_bytes(fd, "memory.high", high_bytes);
	return error;
}

/* -ENOSYS: do it by hand. */
static int create_with_library(struct cgroup_leaf *leaf, uint64_t max_bytes, uint64_t high_bytes)
{
	struct cgroup_tree *tree = leaf->tree;
	const char *name = leaf->path + strlen(tree->mount);
	char max[32] = "max";
	char high[32] = "max";
	if (!tree->library && open_library(tree) != 0)
		return -ENOSYS;
	if (max_bytes != UINT64_MAX)
		snprintf(max, sizeof max, "%llu", (unsigned long long)max_bytes);
	if (high_bytes != UINT64_MAX)
		snprintf(high, sizeof high, "%llu", (unsigned long long)high_bytes);
	while (*name == '/')
		name++;
	struct cgroup *group = cgroup_new_cgroup(name);
	struct cgroup_controller *memory =
		group != NULL ? cgroup_add_controller(group, "memory") : NULL;
	if (memory == NULL || cgroup_add_value_string(memory, "memory.max", max) != 0 ||
		cgroup_add_value_string(memory, "memory.high", high) != 0 ||
		cgroup_create_cgroup(group, 1) != 0) {
		cgroup_free(&group);
		return -ENOSYS;
	}
	leaf->library = group;
	return 0;
}

static int create_by_hand(const struct cgroup_leaf *leaf)
{
	/* libcgroup may have come as far as making the folder. */
	if (mkdir(leaf->path, 0755) != 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int cgroup_leaf_create(struct cgroup_tree *tree, const char *name, uint64_t max_bytes,
	uint64_t high_bytes, struct cgroup_leaf **leaf)
{
	struct cgroup_leaf *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->tree = tree;
	made->fd = -1;
	int error = name_leaf(tree, name, made->path);
	if (error != 0) {
		free(made);
		return error;
	}
	bool by_hand = create_with_library(made, max_bytes, high_bytes) != 0;
	if (by_hand)
		error = create_by_hand(made);
	if (error == 0)
		error = cgroup_directory_open(made->path, &made->fd);
	if (error == 0 && by_hand)
		error = limit_by_hand(made->fd, max_bytes, high_bytes);
	if (error != 0) {
		rmdir(made->path);
		free_leaf(made);
		return error;
	}
	if (tree->owner != NULL)
		cgroup_leftover_mark(made->path, tree->owner);
	made->next = tree->leaves;
	tree->leaves = made;
	*leaf = made;
	return 0;
}

struct cgroup_tree *cgroup_leaf_tree(const struct cgroup_leaf *leaf)
{
	return leaf->tree;
}

const char *cgroup_leaf_directory(const struct cgroup_leaf *leaf)
{
	return leaf->path;
}

int cgroup_leaf_fd(const struct cgroup_leaf *leaf)
{
	return leaf->fd;
}

int cgroup_leaf_attach(struct cgroup_leaf *leaf, pid_t pid)
{
	if (leaf->library != NULL && cgroup_attach_task_pid(leaf->library, pid) == 0)
		return 0;
	return cgroup_directory_move(leaf->fd, pid);
}

int cgroup_leaf_kill(struct cgroup_leaf *leaf)
{
	int error = cgroup_directory_write(leaf->fd, "cgroup.kill", "1");
	if (error != -ENOENT)
		return error;
	int count = cgroup_directory_signal(leaf->fd, SIGKILL);
	return count < 0 ? count : 0;
}

int cgroup_leaf_signal(struct cgroup_leaf *leaf, int signal)
{
	return cgroup_directory_signal(leaf->fd, signal);
}

bool cgroup_leaf_empty(const struct cgroup_leaf *leaf)
{
	return cgroup_directory_empty(leaf->fd);
}

bool cgroup_leaf_gone(const struct cgroup_leaf *leaf)
{
	struct stat ours;
	struct stat there;
	if (fstat(leaf->fd, &ours) != 0 || stat(leaf->path, &there) != 0)
		return true;
	return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

int cgroup_leaf_remove(struct cgroup_leaf *leaf, uint32_t wait_ms)
{
	int error = remove_directory(leaf, wait_ms);
	if (error != 0)
		return error;
	struct cgroup_leaf **at = &leaf->tree->leaves;
	while (*at != leaf)
		at = &(*at)->next;
	*at = leaf->next;
	free_leaf(leaf);
	return 0;
}
