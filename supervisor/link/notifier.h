#ifndef SUPERVISOR_LINK_NOTIFIER_H
#define SUPERVISOR_LINK_NOTIFIER_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Futex words as descriptors.
 *
 * The shims notify the supervisor by adding to a word of the link and waking it, which costs
 * them no descriptor.  An event loop cannot sleep on a futex, so a thread with a small stack does,
 * and writes to the eventfd of the word that has changed.
 *
 * One thread waits for NOTIFIER_WORDS words at once with futex_waitv, which is Linux 5.16's.  Where
 * that is missing, or a filter of system calls does not know it, each word has a thread.  The
 * threads start with notifier_settle(), so that nobody has one who has nothing to be told.  They
 * block all signals.
 */

#define NOTIFIER_WORDS 127U

struct notifier_threads;
struct notifier;

/* 0 or -ENOMEM. */
int notifier_threads_open(struct notifier_threads **threads);

/* Every notifier was closed before.  NULL is allowed. */
void notifier_threads_close(struct notifier_threads *threads);

/* Notifies of word, as soon as it differs from what it is now, from the next notifier_settle() on.
 * 0 or -errno. */
int notifier_open(
	struct notifier_threads *threads, _Atomic uint32_t *word, struct notifier **notifier);

/* Once for all that were opened, since each time every thread goes through its words.  0, or
 * -errno: some are not heard, and this is to be called again. */
int notifier_settle(struct notifier_threads *threads);

/* The word must stay mapped until this has returned.  NULL is allowed. */
void notifier_close(struct notifier *notifier);

/* Readable after a notification; drain it before looking at what that was about. */
int notifier_fd(const struct notifier *notifier);
void notifier_drain(struct notifier *notifier);

#endif
