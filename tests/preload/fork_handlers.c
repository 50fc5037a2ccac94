#include "tests/preload/check.h"

#include <pthread.h>
#include <sys/wait.h>

/* Fork handlers of a constructor, the earliest a program can have: all of them may allocate. */
static void allocate(void)
{
	check_churn(50, 700);
}

static void set_early(void)
{
	pthread_atfork(allocate, allocate, allocate);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = set_early;

int main(void)
{
	pid_t child;
	int status;

	check_hang();
	pthread_atfork(allocate, allocate, allocate);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(7);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 0;
}
