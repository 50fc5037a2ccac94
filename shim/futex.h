#ifndef SHIM_FUTEX_H
#define SHIM_FUTEX_H

#include "shim/kernel.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/*
 * Waiting on the link's words, which other processes share (os_wait is for
 * words of this process).  The bits choose who is meant: a plain FUTEX_WAKE by
 * the supervisor reaches every sleeper, futex_wake only those that share a bit.
 * Both keep errno.
 */
#define FUTEX_ALL_BITS 0xffffffffU

/* Sleeps while *word == expected, until deadline_ns of CLOCK_MONOTONIC (UINT64_MAX: for ever). */
static inline void futex_wait(
	_Atomic uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000U),
		.tv_nsec = (long)(deadline_ns % 1000000000U),
	};

	(void)kernel_call(SYS_futex, (long)word, FUTEX_WAIT_BITSET, (long)expected,
		deadline_ns == UINT64_MAX ? 0 : (long)&deadline, 0, (long)bits);
}

/* How many were woken. */
static inline uint32_t futex_wake(_Atomic uint32_t *word, uint32_t count, uint32_t bits)
{
	long woken = kernel_call(
		SYS_futex, (long)word, FUTEX_WAKE_BITSET, (long)count, 0, 0, (long)bits);

	return woken > 0 ? (uint32_t)woken : 0;
}

#endif
