#include "tests/preload/check.h"

#include <pthread.h>

/* The main thread leaves; the process must end with its last thread and run its exit handlers. */
static void said(void)
{
	write(STDOUT_FILENO, "over\n", 5);
}

static void *last(void *unused)
{
	CHECK_SOON(10, check_worker() == 0);
	check_churn(100, 100 * KIB);
	return unused;
}

int main(void)
{
	pthread_t thread;

	check_hang();
	atexit(said);
	check_churn(100, 100 * KIB);
	CHECK_SOON(10, check_worker() != 0);
	CHECK(pthread_create(&thread, NULL, last, NULL) == 0);
	pthread_exit(NULL);
}
