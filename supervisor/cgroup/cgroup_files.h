#ifndef SUPERVISOR_CGROUP_CGROUP_FILES_H
#define SUPERVISOR_CGROUP_CGROUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/cgroup_text.h"
#include "supervisor/policy/sample.h"

/*
 * Reading the memory files of a cgroup, v1 or v2, through kept descriptors; which they are, and
 * how their texts are read, is told in policy/cgroup_text.h.
 *
 * Files that are missing give "unknown", never an error that travels: the
 * root of the hierarchy has no limit, old kernels lack keys, and a leaf may be
 * removed under us.
 */

/* Descriptors of one cgroup; -1 where the file does not exist. */
struct cgroup_files {
	enum cgroup_version version;
	int limit_fd;
	int usage_fd;
	int events_fd;
	int events_local_fd; /* v2; v1: memory.failcnt */
	int stat_fd;
	int pressure_fd; /* v2 only */
};

#define CGROUP_FILES_NONE ((struct cgroup_files){CGROUP_V2, -1, -1, -1, -1, -1, -1})

/* directory_fd is not kept. */
void cgroup_files_open(struct cgroup_files *files, int directory_fd, enum cgroup_version version);
void cgroup_files_close(struct cgroup_files *files);

/* 0 or -errno.  "max", and v1's huge number, are SAMPLE_NO_LIMIT. */
int cgroup_files_limit(const struct cgroup_files *files, uint64_t *limit_bytes);
int cgroup_files_usage(const struct cgroup_files *files, uint64_t *usage_bytes);

int cgroup_files_reclaimable(const struct cgroup_files *files, struct wall_sample *wall);

/* Hierarchical, and of this cgroup's own limit alone.  known = false where unreadable. */
void cgroup_files_events(const struct cgroup_files *files, struct events_sample *events);
void cgroup_files_events_local(const struct cgroup_files *files, struct events_sample *events);

/* Of memory.events, or v1's memory.oom_control; 0 where that cannot be read. */
void cgroup_files_oom_kills(int fd, uint64_t *kills);

/* Not to be called faster than sampler allows. */
void cgroup_files_stall(
	const struct cgroup_files *files, uint64_t now_ms, struct stall_sample *stall);

/* pread from 0 of at most size - 1 bytes, NUL added; the length or -errno. */
int cgroup_files_read(int fd, char *text, size_t size);

#endif
