#ifndef SUPERVISOR_CGROUP_CGROUP_IO_H
#define SUPERVISOR_CGROUP_CGROUP_IO_H

#include "config/config.h"

/*
 * The file io.max of a leaf: a line for each disk.  The kernel knows disks by two numbers and takes
 * no partitions, so a path is looked up each time that the file is written.
 */

struct cgroup_io_disk {
	unsigned major;
	unsigned minor;
};

/* The disk that a limit is about: a disk itself, or the one below a partition or below the file
 * system of a file.  root_fd stands for "/", where sysfs is looked up.  0 or -errno; -ENOTBLK:
 * there is none, as below tmpfs or an overlay. */
int cgroup_io_find(int root_fd, const struct config_io_max *limit, struct cgroup_io_disk *disk);

/* Writes the limits of the section, and takes back what the leaf has beside them.  Of several for
 * one disk the lowest hold.  What the kernel refuses or does not have is logged. */
void cgroup_io_write(int leaf_fd, const struct config_service *config);

#endif
