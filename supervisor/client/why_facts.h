#ifndef SUPERVISOR_CLIENT_WHY_FACTS_H
#define SUPERVISOR_CLIENT_WHY_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is known of a cgroup that was, or nearly was, out of memory, put together from what is left:
 * the kernel's log (why_kernel.h), the cgroup's files (why_cgroup.h), and the pages of the
 * processes that run or ran in it (preloaded.h).  why_rules.h draws conclusions from it.
 *
 * Bytes are those of the moment of the kill where that is known, else as they are now.  0 = none,
 * or not known.
 */

#define WHY_PATH_BYTES 1024
#define WHY_NAME_BYTES 32
#define WHY_NO_LIMIT UINT64_MAX

enum why_end { WHY_NOTHING, WHY_NEAR, WHY_KILLED };

struct why_facts {
	enum why_end end;
	char cgroup[WHY_PATH_BYTES]; /* whose limit it was; "" = not known */
	uint64_t at_ms;              /* CLOCK_REALTIME of the kill, or of the last sample */
	uint64_t kills;              /* that the cgroup has counted */
	char victim[WHY_NAME_BYTES]; /* the process; "" = not known */
	uint64_t victim_pid;
	uint64_t limit_bytes; /* WHY_NO_LIMIT: there is none */
	uint64_t usage_bytes;
	/* Of the heaps, by the pages: those of the dead as they were last. */
	size_t heaps;
	uint64_t live_bytes;
	uint64_t idle_bytes;
	uint64_t lazy_bytes;
	uint64_t heap_age_ms; /* the newest page was written so long before at_ms */
	/* Of the process with the most: and how many of its name there are. */
	uint64_t largest_live_bytes;
	size_t same_name;
	/* Of the cgroup, by memory.stat. */
	bool has_stat;
	uint64_t anon_bytes;
	uint64_t file_bytes; /* with shared memory */
	uint64_t shared_bytes;
	uint64_t slab_bytes;
	/* Anonymous memory of the preloaded processes that is not their heaps'. */
	uint64_t foreign_bytes;
	/* Processes there without the preload, and what is theirs. */
	size_t strangers;
	uint64_t stranger_bytes;
	char stranger[WHY_NAME_BYTES]; /* the largest */
	/* The limit was higher in an earlier sample; 0 = no. */
	uint64_t limit_before_bytes;
};

#endif
