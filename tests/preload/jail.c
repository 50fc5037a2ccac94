#include "tests/preload/check.h"

#include <sys/stat.h>
#include <sys/wait.h>

/* In an empty root there is no /proc and no library; forked children work there too. */
int main(int count, char **arguments)
{
	int status;
	pid_t child;

	CHECK(count == 2 && chroot(arguments[1]) == 0 && chdir("/") == 0);
	check_churn(100, 100 * KIB);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		check_churn(100, 100 * KIB);
		_exit(7);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return 0;
}
