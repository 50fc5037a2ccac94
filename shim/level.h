#ifndef SHIM_LEVEL_H
#define SHIM_LEVEL_H

#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/spillway.h"

#include <stdint.h>

/*
 * The level in force, and who wants to hear of it.
 *
 * In force is the highest of the supervisor's (link.h), or the process's own limit's where there
 * is none (limit.h), the process's own floor (spillway_set_level), and eager for a while after an
 * event of the service manager's watch (pressure.h).
 *
 * Subscribers are a table of atomic words and no lock: subscribing takes a free
 * row, and a row is given up in two steps.  Who takes it back first marks it,
 * then waits while the scavenger's thread says that it is at that row; who calls
 * says so first, then looks at the mark.  Each writes before it reads, in the
 * single total order, so one of them sees the other.  In the child of a fork nobody
 * is at any row; one that another thread was about to write or to give up stays out
 * of use there.
 */

#define LEVEL_PRESSURE_NS ((uint64_t)5000000000)

enum heap_level level_in_force(uint64_t now_ns);
/* The floor that was. */
enum heap_level level_floor_set(enum heap_level level);
/* There was an event. */
void level_pressure_note(uint64_t now_ns);

/* 0 or -ENOSPC. */
int level_subscribe(void (*changed)(enum spillway_level level, void *with), void *with);
/* 0 or -ENOENT. */
int level_unsubscribe(void (*changed)(enum spillway_level level, void *with), void *with);
/* Calls the subscribers when the level is not what they were told last; by the scavenger's thread.
 */
void level_tell(uint64_t now_ns);
void level_fork_child(void);

#endif
