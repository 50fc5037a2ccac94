#include "tests/preload/check.h"

#include <signal.h>
#include <sys/prctl.h>

/*
 * The scavenger's thread: none while small, then one with signals blocked that
 * changes its user with the rest, gives idle memory back and sleeps for good.
 */
static long status_number(int thread, const char *key, int base)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
	return check_proc_number(path, key, base);
}

static long rss_kib(void)
{
	return check_proc_number("/proc/self/smaps_rollup", "Rss", 10);
}

int main(void)
{
	long before_kib;
	int thread;

	check_hang();
	check_churn(100, 100);
	CHECK(check_worker() == 0);
	before_kib = rss_kib();
	check_churn(300, 100 * KIB);
	CHECK_SOON(10, (free(check_opaque(malloc(10))), check_worker() != 0));
	thread = check_worker();
	CHECK((status_number(thread, "SigBlk", 16) & (1L << (SIGTERM - 1))) != 0);
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(status_number(thread, "Uid", 10) == 65534);
	/* Or our own files in /proc are root's from here on. */
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	/* What idled for some seconds beyond the cushion goes by itself. */
	CHECK_SOON(30, rss_kib() - before_kib < 6000);
	CHECK_SOON(30, check_sleeps_for_good(getpid(), thread));
	/* Use wakes it. */
	before_kib = status_number(thread, "voluntary_ctxt_switches", 10);
	check_churn(300, 100 * KIB);
	CHECK_SOON(5, status_number(thread, "voluntary_ctxt_switches", 10) != before_kib);
	return 0;
}
