#ifndef SHIM_SHARE_H
#define SHIM_SHARE_H

#include <stdint.h>

/*
 * The process's own page of figures (share_page.h).
 *
 *	SPILLWAY_SHARE=auto	in /run/spillway/processes or /dev/shm, whichever can be had.
 *				The default
 *	SPILLWAY_SHARE=/DIR	in that directory
 *	SPILLWAY_SHARE=off	none
 *
 * The page is never needed: where it cannot be had (no directory, no space, RLIMIT_FSIZE, a filter
 * of system calls) the process goes on without, silently.  No descriptor stays open.  The space is
 * taken before the page is mapped, so a file system that is full later does no harm.  Its owner or
 * root could cut the file short, which would end the process, as they could by a signal.
 *
 * No function waits, and none allocates.  Two that write at once: the second leaves it out.
 */

/* By the constructor; environment NULL: one that is not to be trusted, and there is no page. */
void share_init(char **environment);
/* Makes the page where there is none yet; once for each process. */
void share_begin(void);
/* Writes the heap's figures, the level and the price.  Nothing without a page. */
void share_publish(uint64_t now_ns);
/* The same with the tightest limit (UINT64_MAX: none), the usage there, and what the kernel takes
 * back of it. */
void share_publish_walls(
	uint64_t limit_bytes, uint64_t usage_bytes, uint64_t cache_bytes, uint64_t now_ns);
/* At a clean exit: removes the file. */
void share_end(void);
/* In a forked child, which has no page of its own. */
void share_fork_child(void);

#endif
