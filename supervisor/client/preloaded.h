#ifndef SUPERVISOR_CLIENT_PRELOADED_H
#define SUPERVISOR_CLIENT_PRELOADED_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/client/share_file.h"

/*
 * The processes of this machine in which libspillway.so is the allocator, or that have the agent
 * beside their own one, which shares no page, as far as the caller may
 * see them: all for root, else those of the same user, and of other users those whose pages lie in
 * the usual directories of the caller's own namespaces.
 *
 * /proc/PID/maps says whether the library is there, and where the page is, which is read below
 * /proc/PID/root: so containers are seen from outside with their own /dev/shm.  A page counts only
 * when it has the process's start time.
 */

struct preloaded {
	int pid; /* as the caller sees it */
	uint32_t uid;
	uint64_t start_ticks;
	char command[SHARE_COMMAND_BYTES + 1];
	char cgroup[SHARE_CGROUP_BYTES]; /* as the caller sees it; "" = not known */
	bool has_figures;                /* small processes share none */
	struct share_figures figures;
};

/* Calls see for each, in the order of pids, with a struct that is valid during the call.  0, or
 * -errno where /proc cannot be read. */
int preloaded_each(void (*see)(const struct preloaded *process, void *with), void *with);

/* Calls see for each page of a process that is no more: in the usual directories, in the one that
 * the caller's SPILLWAY_SHARE names, and in those of each mount namespace that the caller may look
 * into.  Removes the ones that are older than an hour.  0 or -errno. */
struct preloaded_dead {
	int beside; /* a process in whose mount namespace the page was found; 0 = the caller's */
	struct share_figures figures;
};
int preloaded_each_dead(void (*see)(const struct preloaded_dead *dead, void *with), void *with);

/* The path of the process's memory cgroup as the caller sees it, "" where it is not known. */
void preloaded_cgroup(int pid, char path[SHARE_CGROUP_BYTES]);

#endif
