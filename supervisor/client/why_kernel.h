#ifndef SUPERVISOR_CLIENT_WHY_KERNEL_H
#define SUPERVISOR_CLIENT_WHY_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/client/why_facts.h"

/*
 * The kernel's own words on an OOM kill, in /dev/kmsg:
 *
 *	memory: usage 98304kB, limit 98304kB, failcnt 431
 *	Memory cgroup stats for /box: anon 95420416 file 0 ...
 *	oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/box,task_memcg=/box/a,task=redis,pid=12,uid=0
 *	Memory cgroup out of memory: Killed process 12 (redis) total-vm:1kB, anon-rss:2kB, ...
 *
 * in this order, with the lines of other kills never in between, since the kernel kills one at a
 * time.  The names in there are those of programs, which may hold anything.
 */

struct why_kill {
	uint64_t at_us;                 /* since boot */
	char oom_memcg[WHY_PATH_BYTES]; /* whose limit it was; "" = the machine's memory */
	char task_memcg[WHY_PATH_BYTES];
	char task[WHY_NAME_BYTES];
	uint64_t pid;
	uint64_t usage_bytes;
	uint64_t limit_bytes; /* 0 = not said */
	bool has_stat;
	uint64_t anon_bytes;
	uint64_t file_bytes;
	uint64_t shared_bytes;
	uint64_t slab_bytes;
};

/* Takes one record of /dev/kmsg, "PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT".  True: *kill is
 * complete but for what the last line adds, with this record; its numbers are kept for the next
 * call. */
bool why_kernel_line(struct why_kill *kill, const char *record);

/* The last kill of a process in, or by the limit of, a cgroup of which `belongs` says that it is
 * meant.  0, -ENOENT: the log knows of none, or -errno: it may not be read. */
int why_kernel_find(
	struct why_kill *found, bool (*belongs)(const char *path, void *with), void *with);

#endif
