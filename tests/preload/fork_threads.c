#include "tests/preload/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

/* Four threads allocate while the main thread forks; each child must be able to allocate. */
static _Atomic bool stop;

static void *churn(void *unused)
{
	while (!atomic_load(&stop))
		check_churn(50, 3000);
	return unused;
}

int main(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
	for (int i = 0; i < 150; i++) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			alarm(20);
			check_churn(100, 100);
			check_churn(20, 200 * KIB);
			_exit(7);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
