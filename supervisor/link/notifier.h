#ifndef SUPERVISOR_LINK_NOTIFIER_H
#define SUPERVISOR_LINK_NOTIFIER_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * A futex word as a descriptor.
 *
 * The shims notify the supervisor by adding to a word of the link and waking it, which costs
 * them no descriptor.  An event loop cannot sleep on a futex, so a thread with a
 * small stack does, and writes to an eventfd.  It blocks all signals and touches
 * nothing but its own struct and the word.
 *
 * Closing stops the thread before it returns; the word must stay mapped until then.
 */

struct notifier;

int notifier_open(_Atomic uint32_t *word, struct notifier **notifier);
void notifier_close(struct notifier *notifier);

/* Readable after a notification; drain it before looking at what that was about. */
int notifier_fd(const struct notifier *notifier);
void notifier_drain(struct notifier *notifier);

#endif
