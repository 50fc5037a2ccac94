#ifndef SUPERVISOR_BASE_RANDOM_H
#define SUPERVISOR_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills it with bytes that nobody can guess: by getrandom(2), or where a filter of system calls or
 * an old kernel refuses that, from /dev/urandom.  0 or -errno. */
int random_fill(void *bytes, size_t count);

/* For numbers that only have to differ from those of other processes; never 0. */
uint32_t random_seed(void);

#endif
