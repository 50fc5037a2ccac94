#ifndef SHIM_SCAVENGER_H
#define SHIM_SCAVENGER_H

#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What the scavenger does next, in bounded steps; who calls them, and when, is
 * worker.h's business.
 *
 * A request (a new sequence number with a release level) is worked on at full
 * speed until the heap has no more at that level or the target is met; then
 * the slot is filled, sequence_done stored and the supervisor notified.  A request
 * that arrives meanwhile takes over if its level is at least as high, and
 * waits for its turn otherwise: sequence numbers are answered in order, so
 * answering the later one answers both.
 *
 * Between requests the level in force sets the pace, as the table in
 * scavenger.c has it: at calm a cushion stays and at most one part in a
 * hundred of the time is spent, above calm newly idle memory goes at short
 * intervals.
 *
 * One caller at a time; errno is kept by none of it.
 */

/* How long a step asks to be left alone. */
#define SCAVENGER_AT_ONCE 0U
#define SCAVENGER_UNTIL_NEWS UINT64_MAX

/* Forgets what was under way; the requests up to this sequence number count as answered. */
void scavenger_init(uint32_t sequence);
/* Nanoseconds until the next step is due if nothing new happens before. */
uint64_t scavenger_step(uint64_t now_ns);
/* Whether a request came that no step has seen. */
bool scavenger_has_news(void);
/* A request of this process's own, by any thread at any time: all that there is, or so much. */
void scavenger_ask(enum heap_level level);
void scavenger_ask_for(enum heap_level level, uint64_t target_bytes);
/* Nothing that was asked so is still to be done. */
bool scavenger_has_answered(void);

#endif
