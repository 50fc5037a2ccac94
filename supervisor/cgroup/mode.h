#ifndef SUPERVISOR_CGROUP_MODE_H
#define SUPERVISOR_CGROUP_MODE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How much of cgroup v2 we may use here, found out by trying.
 *
 *   A  v2 with the memory controller, we may make child cgroups, and PSI
 *      triggers with short windows are allowed (CAP_SYS_RESOURCE)
 *   B  the same, but PSI triggers need windows that are multiples of 2 s
 *   C  v2 with the memory controller, but read only: no leaves, no triggers
 *   D  the memory controller is on v1, or there is none
 *
 * The probe never trusts a version number.  Whether short windows are allowed
 * is answered by writing a trigger with a window of 1 s, whether we may make
 * children by making one and removing it.
 *
 * Plain data afterwards.  Directories are absolute, seen from the root that was given.
 */

#define MODE_PATH_BYTES 1024
#define MODE_LINE_BYTES 640

enum mode_letter { MODE_A, MODE_B, MODE_C, MODE_D };

struct mode {
	enum mode_letter letter;
	/* The memory controller is on v2 (A, B, C and never D). */
	bool v2;
	/* Our own cgroup that counts memory, and the mount point of its hierarchy, which is
	 * as far up as we can see.  Both "" where there is no memory controller. */
	char directory[MODE_PATH_BYTES];
	char mount[MODE_PATH_BYTES];
	/* Our own cgroup in the v2 tree, whose memory.pressure is ours alone; "" where there is
	 * none, or where it is the root of the machine and would tell about everybody. */
	char pressure_directory[MODE_PATH_BYTES];
	/* directory is the root of a cgroup namespace of our own, as in a container. */
	bool namespace_root;
	/* directory is the root of the whole hierarchy: it has no limits and may hold processes. */
	bool machine_root;
	/* The shortest PSI trigger window; 0 = no triggers. */
	uint32_t window_ms;
	/* "mode B: cgroup v2 at /sys/fs/cgroup/x, writable, PSI triggers from 2 s" */
	char line[MODE_LINE_BYTES];
};

/* root_fd stands for "/": everything is read below it, so a test can bring its own.
 * Always gives a mode; the worst is a D that knows no limit. */
void mode_probe(int root_fd, struct mode *mode);

/* From A or B to C, because leaves turned out to be impossible: says why in the line. */
void mode_degrade(struct mode *mode, const char *why);

#endif
