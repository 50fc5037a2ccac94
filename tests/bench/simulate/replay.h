#ifndef TESTS_BENCH_SIMULATE_REPLAY_H
#define TESTS_BENCH_SIMULATE_REPLAY_H

#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/background.h"

#include <stdio.h>

/*
 * A program's life on the real heap in virtual time (sim_os.h): malloc and free,
 * and time that goes by, in which the background does its steps when they are due.
 * It mimics worker.h: when the background has nothing left to do it is called
 * again a second after the heap was used.
 */

struct replay_costs {
	uint64_t advise_ns; /* all that giving back took, wake-ups and measuring included */
	uint64_t refault_ns;
	uint64_t lazy_reuse_ns;
	uint64_t keep_ns; /* the price of what idled: pages, a lazy one by its share, and free slots
			   */
	double seconds;
	double resident_byte_s; /* in use, dirty and lazy, over time */
	double in_use_byte_s;
	uint64_t refault_pages;
	uint64_t steps;
};

/* samples: where "second in_use resident" lines go, some thousand of them over `seconds`; NULL:
 * nowhere. */
void replay_begin(const struct heap_tuning *tuning, FILE *samples, double seconds);
void *replay_malloc(size_t bytes);
void *replay_memalign(size_t alignment, size_t bytes);
void *replay_realloc(void *block, size_t bytes);
void replay_free(void *block);
void replay_pass(uint64_t ns);
uint64_t replay_now_ns(void); /* since the beginning */
void replay_end(struct replay_costs *costs);

#endif
