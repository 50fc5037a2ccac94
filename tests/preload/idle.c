#include "tests/preload/check.h"

/*
 * No wake-ups at all in a process whose heap is idle: some time after it used 64
 * MiB its thread sleeps without a deadline, and nobody wakes it.
 */
#define STILL_S 2
#define PATIENCE_S 60

int main(void)
{
	long before;
	int thread;

	check_churn(640, 100 * KIB);
	CHECK_SOON(10, (free(check_opaque(malloc(10))), check_worker() != 0));
	thread = check_worker();
	CHECK_SOON(PATIENCE_S, check_sleeps_for_good(getpid(), thread));
	before = check_wakeups(getpid(), thread);
	nanosleep(&(struct timespec){.tv_sec = STILL_S}, NULL);
	CHECK(before > 0 && before == check_wakeups(getpid(), thread));
	return 0;
}
