/* The leaves of our part of the cgroup v2 tree, one for each service. */
#include "supervisor/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_leftover.h"
#include "supervisor/cgroup/cgroup_private.h"
#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"

static void free_leaf(struct cgroup_leaf *leaf)
{
	if (leaf->fd >= 0)
		close(leaf->fd);
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
	return rmdir(leaf->path) == 0 || errno == ENOENT ? 0 : -errno;
}

void cgroup_leaves_remove(struct cgroup_tree *tree, uint32_t wait_ms)
{
	uint64_t until_ms = clock_now_ms() + wait_ms;
	for (struct cgroup_leaf *leaf = tree->leaves; leaf != NULL; leaf = leaf->next)
		if (!cgroup_leaf_empty(leaf))
			cgroup_leaf_kill(leaf);
	while (tree->leaves != NULL) {
		struct cgroup_leaf *leaf = tree->leaves;
		uint64_t now_ms = clock_now_ms();
		uint32_t left_ms = now_ms < until_ms ? (uint32_t)(until_ms - now_ms) : 0;
		cgroup_report_left(leaf->path, "stays behind", remove_directory(leaf, left_ms));
		tree->leaves = leaf->next;
		free_leaf(leaf);
	}
}

/* The kernel's own files contain dots, "supervisor" is ours, and a name that is taken gets a
 * number. */
static int name_leaf(const struct cgroup_tree *tree, const char *name, char path[CGROUP_PATH_BYTES])
{
	char plain[96];
	struct stat status;
	snprintf(plain, sizeof plain, "%.80s", name);
	for (char *at = plain; *at != '\0'; at++)
		if (*at == '/' || *at == '.' || (unsigned char)*at <= ' ')
			*at = '_';
	for (unsigned n = 1; n <= 100; n++) {
		int length = n == 1 ? snprintf(path, CGROUP_PATH_BYTES, "%s/%s", tree->base, plain)
				    : snprintf(path, CGROUP_PATH_BYTES, "%s/%s-%u", tree->base,
					      plain, n);
		if (length >= CGROUP_PATH_BYTES)
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

static int create_by_hand(const struct cgroup_leaf *leaf, uint64_t max_bytes, uint64_t high_bytes)
{
	int fd = -1;
	/* libcgroup may have come as far as making the folder. */
	if (mkdir(leaf->path, 0755) != 0 && errno != EEXIST)
		return -errno;
	int error = cgroup_directory_open(leaf->path, &fd);
	if (error == 0)
		error = limit_by_hand(fd, max_bytes, high_bytes);
	if (fd >= 0)
		close(fd);
	return error;
}

/* The library is not asked again where it has failed. */
static int create(struct cgroup_leaf *leaf, uint64_t max_bytes, uint64_t high_bytes)
{
	struct cgroup_tree *tree = leaf->tree;
	int error = tree->by_hand ? -ENOSYS
				  : cgroup_library_create(&tree->library, tree->mount, leaf->path,
					    max_bytes, high_bytes);
	if (error == 0)
		return 0;
	if (!tree->by_hand)
		log_debug("cgroups are made by hand, not by libcgroup: %s", strerror(-error));
	tree->by_hand = true;
	return create_by_hand(leaf, max_bytes, high_bytes);
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
	error = create(made, max_bytes, high_bytes);
	if (error == 0)
		error = cgroup_directory_open(made->path, &made->fd);
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

int cgroup_leaf_adopt(struct cgroup_tree *tree, const char *directory, struct cgroup_leaf **leaf)
{
	struct cgroup_leaf *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->tree = tree;
	made->fd = -1;
	int length = snprintf(made->path, sizeof made->path, "%s/%s", tree->base, directory);
	int error = 0;
	if (length >= (int)sizeof made->path || strchr(directory, '/') != NULL ||
		tree->owner == NULL || !cgroup_leftover_is(made->path, tree->owner))
		error = -ENOENT;
	if (error == 0)
		error = cgroup_directory_open(made->path, &made->fd);
	if (error != 0) {
		free_leaf(made);
		return error;
	}
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
	if (fstat(leaf->fd, &ours) != 0)
		return errno == ENODEV;
	if (stat(leaf->path, &there) != 0)
		return errno == ENOENT;
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
