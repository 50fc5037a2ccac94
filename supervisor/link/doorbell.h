#ifndef SUPERVISOR_LINK_DOORBELL_H
#define SUPERVISOR_LINK_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * A futex word as a descriptor.
 *
 * The shims ring by adding to a word of the link and waking it, which costs
 * them no descriptor.  An event loop cannot sleep on a futex, so a thread with a
 * small stack does, and writes to an eventfd.  It blocks all signals and touches
 * nothing but its own struct and the word.
 *
 * Closing stops the thread before it returns; the word must stay mapped until then.
 */

struct doorbell;

int doorbell_open(_Atomic uint32_t *word, struct doorbell **doorbell);
void doorbell_close(struct doorbell *doorbell);

/* Readable after a ring; drain it before looking at what the ring was about. */
int doorbell_fd(const struct doorbell *doorbell);
void doorbell_drain(struct doorbell *doorbell);

#endif
