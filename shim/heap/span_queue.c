#include "shim/heap/span_queue.h"

static struct span *join(struct span *a, struct span *b)
{
	if (b->start < a->start) {
		struct span *lower = b;

		b = a;
		a = lower;
	}
	b->next = a->child;
	if (b->next != NULL)
		b->next->previous = b;
	b->previous = a;
	a->child = b;
	return a;
}

/* Joins siblings in pairs, then the pairs into one. */
static struct span *join_all(struct span *first)
{
	struct span *pairs = NULL;
	struct span *whole = NULL;

	while (first != NULL) {
		struct span *a = first;
		struct span *b = a->next;

		first = b != NULL ? b->next : NULL;
		a->next = NULL;
		if (b != NULL) {
			b->next = NULL;
			a = join(a, b);
		}
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct span *one = pairs;

		pairs = one->next;
		one->next = NULL;
		whole = whole != NULL ? join(whole, one) : one;
	}
	if (whole != NULL) {
		whole->next = NULL;
		whole->previous = NULL;
	}
	return whole;
}

void span_queue_insert(struct span_queue *queue, struct span *span)
{
	span->child = NULL;
	span->next = NULL;
	span->previous = NULL;
	span->queued = true;
	queue->lowest = queue->lowest != NULL ? join(queue->lowest, span) : span;
	queue->lowest->next = NULL;
	queue->lowest->previous = NULL;
}

void span_queue_remove(struct span_queue *queue, struct span *span)
{
	struct span *below = join_all(span->child);

	span->child = NULL;
	span->queued = false;
	if (queue->lowest == span) {
		queue->lowest = below;
		return;
	}
	if (span->previous->child == span)
		span->previous->child = span->next;
	else
		span->previous->next = span->next;
	if (span->next != NULL)
		span->next->previous = span->previous;
	if (below == NULL)
		return;
	queue->lowest = join(queue->lowest, below);
	queue->lowest->next = NULL;
	queue->lowest->previous = NULL;
}
