#ifndef SHIM_SETTINGS_H
#define SHIM_SETTINGS_H

#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/background.h"

#include <stdint.h>

/*
 * How the heap scavenges at calm, and who says so.
 *
 * With a link it is the supervisor, in the header; while nobody attends the link,
 * what it said last stays in force.  Without a link it is the environment:
 *
 *	SPILLWAY_SCAVENGE	adaptive (default), off, go1.11, go1.12, go1.13, decay
 *	SPILLWAY_MADVISE	auto (default), dontneed
 *	SPILLWAY_SCAVENGE_CPU	share of one CPU over any ten seconds, 0.1% to 100%: 1%
 *	SPILLWAY_CORE_WORTH	so much idle memory costs as much as one busy CPU, 16M to 1T: 2G
 *
 * and, where the process keeps a limit by itself (limit.h, which has SPILLWAY_LIMIT), what the
 * wall adds to the price.
 *
 * The scavenger calls settings_apply before each step, so a change of the header
 * is in force with the next one: it comes with a new sequence, which wakes.
 */

/* By the constructor, once the link is joined.  NULL: an environment that is not to be trusted. */
void settings_init(char **environment);
/* Tells the heap when anything changed.  One caller at a time. */
void settings_apply(uint64_t now_ns);
/* What the heap was told last. */
void settings_read(struct heap_tuning *tuning);

#endif
