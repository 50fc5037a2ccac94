#include "tests/preload/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

/*
 * Threads allocate, exchange and free blocks while the main thread forks.  Each
 * child must find the blocks as they were and be able to use the whole heap: it
 * frees what it inherited, has threads, forks again, or runs a program.
 */
#define SHARED 512
#define KEPT 200

static _Atomic bool stop;
static char *_Atomic shared[SHARED];
static unsigned char *kept[KEPT];

/* Whoever takes a block out of the exchange frees it: mostly another thread's. */
static void exchange(unsigned *seed, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		size_t size;
		char *mine;

		*seed = *seed * 1664525 + 1013904223;
		size = (*seed >> 8) % (i % 50 == 0 ? 200000 : 2000) + 1;
		mine = check_opaque(malloc(size));
		CHECK(mine != NULL);
		mine[0] = 1;
		mine[size - 1] = 2;
		free(atomic_exchange(&shared[*seed >> 20 & (SHARED - 1)], mine));
	}
}

static void *churn(void *first)
{
	unsigned seed = (unsigned)(size_t)first;

	while (!atomic_load(&stop)) {
		exchange(&seed, 500);
		check_churn(50, 3000);
	}
	return NULL;
}

static void *churn_briefly(void *first)
{
	unsigned seed = (unsigned)(size_t)first;

	exchange(&seed, 500);
	return NULL;
}

static void keep(void)
{
	for (size_t i = 0; i < KEPT; i++) {
		free(kept[i]);
		kept[i] = check_opaque(malloc(i * i + 1));
		memset(kept[i], (int)i, i * i + 1);
	}
}

static void check_kept(void)
{
	for (size_t i = 0; i < KEPT; i++) {
		for (size_t j = 0; kept[i] != NULL && j < i * i + 1; j += 61)
			CHECK(kept[i][j] == (unsigned char)i);
		free(kept[i]);
		kept[i] = NULL;
	}
}

static void wait_for(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void use_threads(void)
{
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, churn_briefly, (void *)i) == 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static _Noreturn void be_child(int turn)
{
	char command[] = "exec 2>/dev/null; exit 7";
	char option[] = "-c";
	char name[] = "sh";
	char *arguments[] = {name, option, command, NULL};

	check_hang();
	check_kept();
	check_churn(100, 100);
	check_churn(20, 200 * KIB);
	switch (turn % 8) {
	case 1:
	case 5:
		keep();
		for (int i = 0; i < 2; i++) {
			pid_t child = fork();

			if (child == 0) {
				check_kept();
				use_threads();
				_exit(7);
			}
			wait_for(child);
		}
		check_kept();
		break;
	case 2:
		use_threads();
		break;
	case 3:
		execv("/bin/sh", arguments);
		_exit(1);
	default:
		break;
	}
	for (size_t i = 0; i < SHARED; i++)
		free(atomic_load(&shared[i]));
	_exit(7);
}

int main(void)
{
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
	for (int i = 0; i < (int)check_soak(60); i++) {
		pid_t children[2];

		keep();
		for (int j = 0; j < 2; j++) {
			children[j] = fork();
			CHECK(children[j] >= 0);
			if (children[j] == 0)
				be_child(i + j);
		}
		for (int j = 0; j < 2; j++)
			wait_for(children[j]);
		check_kept();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
