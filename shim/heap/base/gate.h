#ifndef SHIM_HEAP_BASE_GATE_H
#define SHIM_HEAP_BASE_GATE_H

#include <stdbool.h>
#include <stddef.h>

/* No lock may be held.  False where there is no gate. */
bool gate_is_set(void);

/* Asks the gate, which may take long; true: populate what you now take. */
bool gate_ask(size_t bytes);

/* Makes a range resident now if it is small enough for that to be quick; failure does not matter.
 */
void gate_populate(void *start, size_t bytes);

#endif
