#ifndef SHIM_FUTEX_H
#define SHIM_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Waiting on the link's words, which other processes share (os_wait is for
 * words of this process).  The bits choose who is meant: a plain FUTEX_WAKE by
 * the supervisor reaches every sleeper, futex_wake only those that share a bit.
 * Both change errno.
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

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
		deadline_ns == UINT64_MAX ? NULL : &deadline, NULL, bits);
}

/* How many were woken. */
static inline uint32_t futex_wake(_Atomic uint32_t *word, uint32_t count, uint32_t bits)
{
	long woken = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, NULL, NULL, bits);

	return woken > 0 ? (uint32_t)woken : 0;
}

#endif
