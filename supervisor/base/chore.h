#ifndef SUPERVISOR_BASE_CHORE_H
#define SUPERVISOR_BASE_CHORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Work that may hang, such as a read from a file system that does not answer: a thread does it, and
 * the loop waits for it no longer than it says.
 *
 * One piece of work is under way at a time.  Its data belongs to the thread from chore_start()
 * until chore_is_idle() says true, and to the caller at all other times.
 */

struct chore;

/* What the work is, and what frees its data. */
struct chore_kind {
	void (*work)(void *data);
	void (*drop)(void *data);
};

/* data is owned from then on, also when this fails.  No thread runs before the first start.
 * 0 or -ENOMEM. */
int chore_open(const struct chore_kind *kind, void *data, struct chore **chore);

/* Waits for nothing: work that is under way goes on, and its data is dropped after it. */
void chore_close(struct chore *chore);

/* While it is idle. */
void *chore_data(struct chore *chore);

/* Has the work done, and waits for it for wait_ms at most.  0: it is done; -EINPROGRESS: it is
 * under way; or the -errno of a thread that could not be made: nothing is done. */
int chore_start(struct chore *chore, uint32_t wait_ms);
bool chore_is_idle(struct chore *chore);

#endif
