#ifndef SUPERVISOR_BASE_CLOCK_H
#define SUPERVISOR_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: every time of the supervisor comes from here.  Async-signal-safe. */
uint64_t clock_now_ns(void);
uint64_t clock_now_ms(void);

#endif
