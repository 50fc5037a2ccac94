#include "tests/preload/check.h"

#include <spawn.h>
#include <sys/wait.h>

/* vfork children borrow our memory; they may even allocate, and must leave our thread alone. */
int main(void)
{
	char name[] = "true";
	char *arguments[] = {name, NULL};

	alarm(30);
	check_churn(100, 100 * KIB);
	CHECK_SOON(10, check_worker() != 0);
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t child;

		if (i % 2 == 0) {
			CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
		} else {
			child = vfork();
			if (child == 0) {
				free(check_opaque(malloc(3 * MIB)));
				execvp("true", arguments);
				_exit(1);
			}
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		check_churn(10, 10000);
	}
	CHECK(check_worker() != 0);
	return 0;
}
