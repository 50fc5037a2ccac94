#ifndef SUPERVISOR_POLICY_ORDER_H
#define SUPERVISOR_POLICY_ORDER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Puts entries in order without any memory of its own: each entry lies in what is to be put in
 * order, and the list goes through them.  A list of n takes about n log2(n) comparisons, since one
 * step of policy may have to order a thousand services, every few milliseconds.
 *
 * Source: merge sort of a list from the bottom up, Knuth, The Art of Computer Programming, volume
 * 3, 5.2.4, algorithm L.
 */

struct order {
	struct order *next; /* NULL: it is the last */
	uint64_t key;
	size_t index; /* the caller's */
};

/* Orders the list by key, the largest first; entries of the same key stay as they were.  Returns
 * the new first entry, NULL where there is none. */
struct order *order_by_key(struct order *first);

#endif
