#include "tests/support/fake_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "fake_tree: %s: %s: %s\n", path, what, strerror(errno));
	abort();
}

void fake_tree_open(struct fake_tree *tree)
{
	const char *parent = getenv("TMPDIR");
	snprintf(tree->path, sizeof tree->path, "%.30s/spillway-fake.XXXXXX",
		parent != NULL ? parent : "/tmp");
	if (mkdtemp(tree->path) == NULL)
		fail("mkdtemp", tree->path);
	tree->fd = open(tree->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tree->fd < 0)
		fail("open", tree->path);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

void fake_tree_close(struct fake_tree *tree)
{
	close(tree->fd);
	if (nftw(tree->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fail("remove", tree->path);
}

static void make_folders(const struct fake_tree *tree, const char *path)
{
	char folder[512];
	snprintf(folder, sizeof folder, "%s", path);
	for (char *slash = strchr(folder, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(tree->fd, folder, 0755) != 0 && errno != EEXIST)
			fail("mkdir", folder);
		*slash = '/';
	}
}

void fake_tree_make(const struct fake_tree *tree, const char *directory)
{
	make_folders(tree, directory);
	if (mkdirat(tree->fd, directory, 0755) != 0 && errno != EEXIST)
		fail("mkdir", directory);
}

void fake_tree_write(const struct fake_tree *tree, const char *path, const char *text)
{
	make_folders(tree, path);
	/* In place: what was opened before sees the new text, as in cgroupfs. */
	int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		fail("open", path);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("write", path);
	close(fd);
}

void fake_tree_link(const struct fake_tree *tree, const char *path, const char *target)
{
	make_folders(tree, path);
	if (symlinkat(target, tree->fd, path) != 0)
		fail("symlink", path);
}

int fake_tree_directory(const struct fake_tree *tree, const char *directory)
{
	int fd = openat(tree->fd, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fail("open", directory);
	return fd;
}
