/* Puts a list in order, the largest key first. */
#include "supervisor/policy/order.h"

/* Room for lists of 2^i entries at [i]. */
#define RUNS 64U

/* Entries of a come before those of b that have the same key. */
static struct order *merge(struct order *a, struct order *b)
{
	struct order *first = NULL;
	struct order **end = &first;
	while (a != NULL && b != NULL) {
		struct order **from = b->key > a->key ? &b : &a;
		*end = *from;
		end = &(*from)->next;
		*from = *end;
	}
	*end = a != NULL ? a : b;
	return first;
}

struct order *order_by_key(struct order *first)
{
	struct order *run[RUNS] = {NULL};
	size_t runs = 0;
	while (first != NULL) {
		struct order *one = first;
		size_t i = 0;
		first = first->next;
		one->next = NULL;
		/* As in adding 1 to a binary number: two runs of a size become one of twice that.
		 */
		for (; i < runs && run[i] != NULL; i++) {
			one = merge(run[i], one);
			run[i] = NULL;
		}
		if (i == runs)
			runs++;
		run[i] = one;
	}
	for (size_t i = 0; i < runs; i++)
		first = merge(run[i], first);
	return first;
}
