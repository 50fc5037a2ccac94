#include "tests/preload/check.h"

#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

/*
 * vfork children borrow our memory; they may even allocate, and must leave our
 * thread alone.  From the middle on other threads allocate meanwhile.
 */
static _Atomic bool stop;

static void *churn(void *unused)
{
	while (!atomic_load(&stop))
		check_churn(50, 3000);
	return unused;
}

int main(void)
{
	char name[] = "true";
	char *arguments[] = {name, NULL};
	pthread_t threads[2];

	check_hang();
	check_churn(100, 100 * KIB);
	CHECK_SOON(10, check_worker() != 0);
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t child;

		for (int j = 0; i == 100 && j < 2; j++)
			CHECK(pthread_create(&threads[j], NULL, churn, NULL) == 0);
		if (i % 2 == 0) {
			CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
		} else {
			child = vfork();
			if (child == 0) {
				free(check_opaque(malloc(3 * MIB)));
				free(check_opaque(malloc(100)));
				execvp("true", arguments);
				_exit(1);
			}
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		check_churn(10, 10000);
	}
	CHECK(check_worker() != 0);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
