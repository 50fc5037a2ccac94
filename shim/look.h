#ifndef SHIM_LOOK_H
#define SHIM_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One look at the limit, by the thread of alone.h: reads the cgroup's files and the heap's figures
 * into a struct sample of one service, runs policy_step, and puts the plan into force: the level,
 * the price and the gate's credit in limit.h, releases by scavenger_ask_for.  What for, when, and
 * what is promised is told in alone.h.
 *
 * The tables are for 64 services, 230 KiB with the room for texts; they are mapped from look_begin
 * to look_end, and only the pages of the first service are touched.
 */

#define LOOK_MIB (UINT64_C(1) << 20)
/* How far the heap grows before the next look where there is no limit, or it is not known. */
#define LOOK_NO_LIMIT_BYTES (64 * LOOK_MIB)

/* By the thread, before its first look and after its last.  begin gives it a table of descriptors
 * of its own; false: no memory. */
bool look_begin(void);
void look_end(void);
/* Since look_begin, by the thread. */
bool look_has_own_descriptors(void);
/* The pause until the next look, in ms; 0: none is needed, and the mark says when one will be. */
uint32_t look_step(uint64_t now_ns);

/* Which limit the last look found to be the tightest, for family.h. */
uint64_t look_wall(void);

/* The rest by any thread. */
/* The next look is due after so much growth. */
void look_mark_set(uint64_t distance_bytes);
/* The tightest limit that was found last; 0: none. */
uint64_t look_limit_bytes(void);
/* Whether the heap holds memory worth giving. */
bool look_finds_idle(void);
void look_fork_child(void);

#endif
