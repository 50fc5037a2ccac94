#ifndef TESTS_SUPPORT_REFUSED_STORY_H
#define TESTS_SUPPORT_REFUSED_STORY_H

#include "tests/support/refused.h"

/*
 * A fleet from open to close with one allocation or descriptor refused: the first,
 * the second, and so on, once or for the rest of the story.
 *
 * Two services start, a reload with an error is refused, a reload changes one
 * service and adds one, one crashes, all stop.  Whatever was refused, the
 * fleet does not start, or it goes on: all that the config in force names runs
 * in the end, a reload that failed has changed nothing, and nothing is left
 * behind.
 */

/* Tells it for every N, or every eighth of those where all from then on are refused. */
void refused_story_tell_all(enum refused_kind kind, enum refused_how how);

/* A story that fails ends in the middle: what it said, the failure included, is shown. */
int refused_story_teardown(void **state);

#endif
