#include "tests/preload/check.h"

/*
 * No wake-ups at all in a process whose heap is idle: having used 64 MiB, its
 * thread does not run for five seconds in a row.
 */
#define STILL_S 5
#define PATIENCE_S 45

static long wakeups(int thread)
{
	char path[64];
	long voluntary;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
	voluntary = check_proc_number(path, "voluntary_ctxt_switches", 10);
	CHECK(voluntary >= 0);
	return voluntary + check_proc_number(path, "nonvoluntary_ctxt_switches", 10);
}

int main(void)
{
	double end_s = check_now_s() + PATIENCE_S;
	long before;
	long now = -1;
	int thread;

	check_churn(640, 100 * KIB);
	CHECK_SOON(10, (free(check_opaque(malloc(10))), check_worker() != 0));
	thread = check_worker();
	do {
		before = now;
		nanosleep(&(struct timespec){.tv_sec = STILL_S}, NULL);
		now = wakeups(thread);
	} while (before != now && check_now_s() < end_s);
	CHECK(before == now);
	return 0;
}
