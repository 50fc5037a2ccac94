/* Counts who advises ranges, so that a fork can wait for them. */
#include "shim/heap/base/transit.h"

#include "shim/heap/base/os.h"

#include <stdatomic.h>

#define WAIT_NS 1000000U

/* Each side writes its own word and then reads the other's, both in the single
 * total order: either a transit sees the stop or the stop sees the transit. */
static _Atomic uint32_t running;
static _Atomic uint32_t stops;
static _Atomic uint32_t waiters;

/* The calling thread's own, which a fork in a signal handler can't wait for. */
static __thread uint32_t mine;

bool transit_begin(void)
{
	mine++;
	atomic_fetch_add(&running, 1);
	if (atomic_load(&stops) == 0)
		return true;
	transit_end();
	return false;
}

void transit_end(void)
{
	atomic_fetch_sub(&running, 1);
	mine--;
	if (atomic_load(&waiters) != 0)
		os_wake((const uint32_t *)&running, UINT32_MAX);
}

bool transit_wait(void)
{
	uint32_t seen = atomic_load(&running);

	if (seen <= mine)
		return false;
	atomic_fetch_add(&waiters, 1);
	os_wait((const uint32_t *)&running, seen, WAIT_NS);
	atomic_fetch_sub(&waiters, 1);
	return true;
}

void transit_stop(bool inside)
{
	unsigned waits = 0;

	atomic_fetch_add(&stops, 1);
	while ((!inside || waits++ < TRANSIT_WAITS_INSIDE) && transit_wait())
		;
}

void transit_resume(void)
{
	atomic_fetch_sub(&stops, 1);
}

void transit_after_fork(void)
{
	atomic_store(&running, mine);
	atomic_store(&waiters, 0);
	atomic_store(&stops, 1);
}
