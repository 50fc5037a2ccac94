#include "tests/preload/check.h"

#include <sys/resource.h>

/* No thread may be made: memory works, and the scavenger's work is done by growing threads. */
int main(void)
{
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}) == 0);
	for (int i = 0; i < 20; i++)
		check_churn(200, 100 * KIB);
	CHECK(check_proc_number("/proc/self/status", "Threads", 10) == 1);
	return 0;
}
