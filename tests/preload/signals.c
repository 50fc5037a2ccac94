#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/time.h>

/*
 * Signals at a high rate, with SA_RESTART and without, while threads are in the
 * heap: no call may fail or leave its EINTR in errno, and no block may suffer.
 * A handler that was in the heap's way goes on after it, so it must have kept
 * nothing locked for long: the handlers do not allocate.
 */
#define THREADS 3
#define BLOCKS 400

static _Atomic bool stop;
static _Atomic unsigned long caught;

static void on_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&caught, 1);
}

static void turn(unsigned char **blocks, size_t *bytes, unsigned *seed)
{
	size_t i;
	size_t size;
	size_t same;

	*seed = *seed * 1664525 + 1013904223;
	i = (*seed >> 8) % BLOCKS;
	size = (*seed >> 12) % ((*seed >> 4) % 32 == 0 ? 400000 : 3000) + 1;
	for (size_t j = 0; j < bytes[i]; j += 127)
		CHECK(blocks[i][j] == (unsigned char)i);
	switch (*seed >> 30) {
	case 0:
		blocks[i] = check_opaque(realloc(blocks[i], size));
		same = bytes[i] < size ? bytes[i] : size;
		CHECK(blocks[i] != NULL && (same == 0 || blocks[i][same - 1] == (unsigned char)i));
		break;
	case 1:
		free(blocks[i]);
		blocks[i] = check_opaque(calloc(1, size));
		CHECK(blocks[i] != NULL && blocks[i][0] == 0 && blocks[i][size - 1] == 0);
		break;
	default:
		free(blocks[i]);
		blocks[i] = check_opaque(malloc(size));
		CHECK(blocks[i] != NULL);
	}
	bytes[i] = size;
	memset(blocks[i], (int)i, size);
}

static void *work(void *first)
{
	unsigned char *blocks[BLOCKS] = {NULL};
	size_t bytes[BLOCKS] = {0};
	unsigned seed = (unsigned)(uintptr_t)first;
	bool trims = seed == 1;

	errno = EXDEV;
	for (unsigned turns = 0; !atomic_load(&stop); turns++) {
		turn(blocks, bytes, &seed);
		if (trims && turns % 5000 == 0)
			malloc_trim(0);
		CHECK(errno == EXDEV);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	return NULL;
}

static void storm(int flags, double seconds)
{
	struct itimerval timer = {{0, 50}, {0, 50}};
	const struct itimerval none = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	double end_s = check_now_s() + seconds;
	pthread_t threads[THREADS];

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	atomic_store(&stop, false);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
	while (check_now_s() < end_s) {
		for (size_t i = 0; i < THREADS; i++)
			pthread_kill(threads[i], SIGUSR1);
		usleep(20);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
}

int main(void)
{
	storm(SA_RESTART, 2.0 * (double)check_soak(1));
	storm(0, 2.0 * (double)check_soak(1));
	CHECK(atomic_load(&caught) > 1000);
	check_churn(1000, 1000);
	return 0;
}
