#ifndef SUPERVISOR_CGROUP_FILES_H
#define SUPERVISOR_CGROUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/sample.h"

/*
 * Reading the memory files of a cgroup, v1 or v2, through kept descriptors.
 *
 *                      v2                     v1
 *   limit              memory.max             memory.limit_in_bytes
 *   usage              memory.current         memory.usage_in_bytes
 *   events             memory.events          memory.oom_control (oom_kill), memory.failcnt (max)
 *   reclaimable        memory.stat            memory.stat, the total_ keys
 *   stall              memory.pressure        none
 *
 * Files that are missing give "unknown", never an error that travels: the
 * root of the hierarchy has no limit, old kernels lack keys, and a leaf may be
 * removed under us.
 *
 * The text comes from the kernel, but through a mount that a container's
 * maker chose, so parsing is bounded and takes nothing for granted.
 */

enum cgroup_version { CGROUP_V1, CGROUP_V2 };

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

/*
 * What the kernel takes back by itself before it kills: the inactive file list,
 * on which lazily freed pages stand too, less what would have to be written
 * first; and half of the active one.  All of that could go as well, but a cache
 * in use that goes comes back as stall; none of it, and a service that reads
 * more files than fit would look as if it were at its wall for ever.
 */
int cgroup_files_reclaimable(const struct cgroup_files *files, uint64_t *reclaimable_bytes);

/* Hierarchical, and of this cgroup's own limit alone.  known = false where unreadable. */
void cgroup_files_events(const struct cgroup_files *files, struct events_sample *events);
void cgroup_files_events_local(const struct cgroup_files *files, struct events_sample *events);

/* Not to be called faster than sampler allows. */
void cgroup_files_stall(
	const struct cgroup_files *files, uint64_t now_ms, struct stall_sample *stall);

/* The parsers, for whole texts that need not end in NUL or newline. */
int cgroup_files_parse_u64(const char *text, size_t length, uint64_t *value);
bool cgroup_files_parse_key(const char *text, size_t length, const char *key, uint64_t *value);
int cgroup_files_parse_stall(const char *text, size_t length, struct stall_sample *stall);

/* pread from 0 of at most size - 1 bytes, NUL added; the length or -errno. */
int cgroup_files_read(int fd, char *text, size_t size);

#endif
