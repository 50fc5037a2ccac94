#include "tests/preload/check.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A copy that no fork handler ran in must find out by itself that our thread is not its own. */
int main(void)
{
	int status;
	pid_t child;

	check_hang();
	check_churn(100, 100 * KIB);
	CHECK_SOON(10, check_worker() != 0);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	CHECK(child >= 0);
	if (child == 0) {
		check_hang();
		CHECK(check_worker() == 0);
		CHECK_SOON(10, (check_churn(100, 200 * KIB), check_worker() != 0));
		_exit(7);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 0;
}
