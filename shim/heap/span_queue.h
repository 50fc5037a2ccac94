#ifndef SHIM_HEAP_SPAN_QUEUE_H
#define SHIM_HEAP_SPAN_QUEUE_H

#include "shim/heap/span.h"

/*
 * Spans by address, the lowest at hand: a pairing heap threaded through child,
 * next and previous of struct span (Fredman, Sedgewick, Sleator, Tarjan 1986).
 * Insertion is constant; taking out costs log n amortised.
 *
 * Serving from the lowest slab first lets high slabs run empty, and an empty
 * slab is pages that can go back.
 */
struct span_queue {
	struct span *lowest;
};

void span_queue_insert(struct span_queue *queue, struct span *span);
void span_queue_remove(struct span_queue *queue, struct span *span);

#endif
