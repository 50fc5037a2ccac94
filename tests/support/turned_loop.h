#ifndef TESTS_SUPPORT_TURNED_LOOP_H
#define TESTS_SUPPORT_TURNED_LOOP_H

#include <stdbool.h>

#include "supervisor/base/loop.h"

/*
 * The real loop, which never waits: a timer that is always due turns it, and after so many turns
 * that all has happened which can, a test's next step comes.  For sockets whose both ends are in
 * this process.
 *
 * Programs that link it wrap the functions of loop.h (WRAP_loop in the Makefile), so that
 * fake_loop.c may be there as well.
 */

/* step(context, 0), step(context, 1) and so on, until it returns false.  Once for a loop. */
void turned_loop_run(
	struct loop *loop, bool (*step)(void *context, unsigned number), void *context);

#endif
