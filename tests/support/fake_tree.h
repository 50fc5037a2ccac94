#ifndef TESTS_SUPPORT_FAKE_TREE_H
#define TESTS_SUPPORT_FAKE_TREE_H

/*
 * A temporary folder that stands for "/": control files and /proc as plain
 * files.  Every failure ends the test program, since no test can go on.
 */

struct fake_tree {
	char path[64];
	int fd;
};

void fake_tree_open(struct fake_tree *tree);
void fake_tree_close(struct fake_tree *tree);

/* Makes the folders on the way; replaces what is there. */
void fake_tree_write(const struct fake_tree *tree, const char *path, const char *text);
void fake_tree_link(const struct fake_tree *tree, const char *path, const char *target);
void fake_tree_make(const struct fake_tree *tree, const char *directory);

/* O_PATH of a folder in it; the caller closes it. */
int fake_tree_directory(const struct fake_tree *tree, const char *directory);

#endif
