/*
 * Frees most of a heap and then does nothing: freed MIB THREADS HOW
 *
 *	scatter	each thread frees all but every twentieth of its blocks of 16 to 1007 bytes, and
 *lives on ends	each thread frees all of them, and ends all	as scatter, but all of them
 *
 * Says "freed PID" then.  SIGUSR1: forks a child that does nothing, either.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_MEAN 512
#define THREADS_MAX 16

static size_t blocks;
static const char *how;
static char **kept[THREADS_MAX];
static pthread_barrier_t done;

static void *run(void *number)
{
	uint32_t seed = (uint32_t)(uintptr_t)number;
	unsigned keeps = strcmp(how, "scatter") == 0 ? 20 : 0;
	char **block = malloc(blocks * sizeof *block);

	if (block == NULL)
		abort();
	for (size_t i = 0; i < blocks; i++) {
		seed = seed * 1103515245 + 12345;
		size_t size = 16 + (seed >> 16) % 992;
		block[i] = malloc(size);
		if (block[i] == NULL)
			abort();
		memset(block[i], 1, size);
	}
	for (size_t i = 0; i < blocks; i++)
		if (keeps == 0 || i % keeps != 0)
			free(block[i]);
	kept[(uintptr_t)number - 1] = block;
	pthread_barrier_wait(&done);
	while (strcmp(how, "ends") != 0)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS_MAX];
	unsigned threads;
	sigset_t wanted;
	int signal_number;

	if (argc != 4 || (threads = (unsigned)atoi(argv[2])) == 0 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: freed MIB THREADS scatter|ends|all\n");
		return 2;
	}
	how = argv[3];
	blocks = (size_t)atoi(argv[1]) * 1024 * 1024 / threads / BLOCK_MEAN;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	pthread_barrier_init(&done, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)(i + 1)) != 0)
			abort();
	pthread_barrier_wait(&done);
	for (unsigned i = 0; i < threads && strcmp(how, "ends") == 0; i++)
		pthread_join(thread[i], NULL);
	printf("freed %d\n", (int)getpid());
	fflush(stdout);
	while (sigwait(&wanted, &signal_number) == 0)
		if (fork() == 0)
			for (;;)
				pause();
	return 0;
}
