#ifndef SHIM_HEAP_BASE_GATE_H
#define SHIM_HEAP_BASE_GATE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The gate: called with no lock held before pages become resident (fresh ones
 * and clean ones, not dirty or lazy ones) with how many bytes that will be.
 * It may take its time, release memory of this same heap, and never refuses.
 * True asks the heap to populate the range at once, so that near the wall what
 * was granted is charged and memory.current tells the truth.  NULL = no gate.
 */
void gate_set(bool (*gate)(size_t bytes));

/* No lock may be held.  False where there is no gate. */
bool gate_is_set(void);

/* Asks the gate, which may take long; true: populate what you now take. */
bool gate_ask(size_t bytes);

/* Makes a range resident now if it is small enough for that to be quick.  False: not all of it is,
 * which does not matter.  By the thread that asked the gate for it, after that. */
bool gate_populate(void *start, size_t bytes);

/* Called when what this thread last asked the gate for is resident; NULL = nobody is told. */
void gate_set_populated(void (*populated)(void));

#endif
