#ifndef SUPERVISOR_BASE_ROOT_H
#define SUPERVISOR_BASE_ROOT_H

/*
 * Files below a root.  What the supervisor reads of the system it names by absolute paths and opens
 * below a descriptor that stands for "/", so that a test can bring its own.
 *
 * A descriptor, close-on-exec, or -1 with errno.  Neither waits for what it opens.
 */

/* For openat and its kin only (O_PATH).  "" and "/" are the root itself. */
int root_open_directory(int root_fd, const char *path);

/* For reading. */
int root_open_file(int root_fd, const char *path);

#endif
