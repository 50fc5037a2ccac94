#ifndef SHIM_LINK_RENEW_H
#define SHIM_LINK_RENEW_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Another supervisor after one that was killed (link.h).
 *
 * Asking takes a socket, so it is done by the thread of alone.h, which has a table of descriptors
 * of its own.  Nobody wakes up to ask: that thread runs while a heap holds memory worth giving and
 * nobody attends it, and otherwise the scavenger's thread starts it when something else wakes
 * it, which the new supervisor does.  A process that has no thread, since its heap is small, goes
 * on without a link until it has one.
 */

#define LINK_RENEW_AGAIN_NS UINT64_C(1000000000)

/* The supervisor is silent, and it was not asked for a while. */
bool link_renew_is_due(uint64_t now_ns);
/* Asks when it is due.  Takes at most two seconds. */
void link_renew(uint64_t now_ns);

#endif
