#ifndef SUPERVISOR_CGROUP_CGROUP_DIRECTORY_H
#define SUPERVISOR_CGROUP_CGROUP_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A cgroup v2 directory through a descriptor of it: what libcgroup 2.0.2
 * cannot do (subtree_control of the mount's root, cgroup.kill, listing and
 * moving processes one by one with the error of each), done on the files.
 *
 * 0 or -errno throughout.
 */

int cgroup_directory_open(const char *path, int *fd);

/* At most size - 1 bytes, NUL added; the length or -errno. */
int cgroup_directory_read(int fd, const char *file, char *text, size_t size);

/* The whole text in one write, as control files want it. */
int cgroup_directory_write(int fd, const char *file, const char *text);
int cgroup_directory_write_bytes(int fd, const char *file, uint64_t bytes);

/* "memory" is one of the words of cgroup.subtree_control. */
bool cgroup_directory_hands_out(int fd, const char *controller);

/* Calls each() for every process; pid 0 is one of a foreign pid namespace.  Stops at the first
 * nonzero and returns it. */
int cgroup_directory_each(int fd, int (*each)(pid_t pid, void *context), void *context);

/* Moves all processes of one to the other, until none is left or some refuse to go: then
 * the error of the last that did. */
int cgroup_directory_move_all(int from_fd, int to_fd);
int cgroup_directory_move(int to_fd, pid_t pid);

/* The count of processes that were sent the signal. */
int cgroup_directory_signal(int fd, int signal);

/* Nothing runs in it or below it. */
bool cgroup_directory_empty(int fd);

/* Polls with a deadline. */
bool cgroup_directory_wait_empty(int fd, uint32_t wait_ms);

/* Removes the cgroups below path, deepest first; path itself stays. */
void cgroup_directory_remove_below(const char *path);

#endif
