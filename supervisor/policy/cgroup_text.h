#ifndef SUPERVISOR_POLICY_CGROUP_TEXT_H
#define SUPERVISOR_POLICY_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/sample.h"

/*
 * The texts of a cgroup's memory files as numbers.
 *
 *                      v2                     v1
 *   limit              memory.max             memory.limit_in_bytes
 *   usage              memory.current         memory.usage_in_bytes
 *   events             memory.events          memory.oom_control (oom_kill), memory.failcnt (max)
 *   reclaimable        memory.stat            memory.stat, the total_ keys
 *   stall              memory.pressure        none
 *
 * The text comes from the kernel, but through a mount that a container's
 * maker chose, so parsing is bounded and takes nothing for granted.  A text need not
 * end in NUL or newline.
 */

enum cgroup_version { CGROUP_V1, CGROUP_V2 };

/* One number; "max" is SAMPLE_NO_LIMIT.  0, -EINVAL or -ERANGE. */
int cgroup_text_u64(const char *text, size_t length, uint64_t *value);
/* The same; v1's huge number is SAMPLE_NO_LIMIT too. */
int cgroup_text_limit(const char *text, size_t length, uint64_t *limit_bytes);

/* The number of the line that begins with key. */
bool cgroup_text_key(const char *text, size_t length, const char *key, uint64_t *value);

/* The same of /proc/meminfo, whose lines are "KEY:   NUMBER kB". */
bool cgroup_text_kib(const char *text, size_t length, const char *key, uint64_t *bytes);

/*
 * What the kernel takes back by itself before it kills (reclaimable_bytes): the inactive file list,
 * on which lazily freed pages stand too; half of what would have to be written first, and half of
 * the active list; and reclaimable slab (v2 only, v1 does not tell).  All of that is
 * cache_bytes.
 *
 * All of what is dirty or active could go as well, but a cache in use that goes comes back as
 * stall, and what is dirty goes at the speed of the disk; none of it, and a service that
 * reads or writes more files than fit would look as if it were at its wall for ever.  Of slab all
 * but a twentieth was seen to go before a kill: 38.8 MiB of dentries and inodes in a limit of
 * 48 MiB came down to 2.0 (Linux 6.1).
 *
 * 0, or -ENOENT where *wall is left alone.
 */
int cgroup_text_reclaimable(
	const char *text, size_t length, enum cgroup_version version, struct wall_sample *wall);

/* The anonymous memory on the file lists, which was lazily freed once; 0 where that is unknown. */
uint64_t cgroup_text_listed(const char *text, size_t length, enum cgroup_version version);

/* memory.events, or memory.events.local; unchanged where it is none. */
void cgroup_text_events(const char *text, size_t length, struct events_sample *events);

/* 0, -ENOENT, -EINVAL or -ERANGE. */
int cgroup_text_stall(const char *text, size_t length, struct stall_sample *stall);

#endif
