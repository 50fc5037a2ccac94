#ifndef SHIM_TRIM_H
#define SHIM_TRIM_H

#include <stddef.h>
#include <stdint.h>

/* Giving back in the calling thread. */

/* All that is idle, at full: the bytes.  Others may free all the time; what was idle at first is
 * the most that is given back. */
uint64_t trim_full(size_t cushion_bytes);

#endif
