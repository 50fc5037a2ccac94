#ifndef SHIM_HEAP_FRONT_LOCKS_H
#define SHIM_HEAP_FRONT_LOCKS_H

#include <stdbool.h>

/*
 * All locks of the heap: locks.c has a table of them, in the order in which they are
 * taken where more than one is held.  A file that has locks gives a function that
 * visits each of them and that stands in the table; tests/support/check_locks finds a lock that
 * is in no such function, and a function that is not in the table.  So a child of fork never finds
 * a lock taken by a thread that it does not have.
 */

/* All that the calling thread does not hold already are taken, and dropped in parent or child. */
void locks_take_for_fork(void);
void locks_drop_in_parent(void);
void locks_drop_in_child(void);

/* Whether the calling thread holds any; takes none. */
bool locks_is_any_mine(void);

#endif
