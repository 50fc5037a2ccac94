/*
 * Services with a known appetite, for the system tests.
 *
 *   memory idle MIB THREADS MIB_PER_S
 *                             says "empty" and waits for SIGUSR1; fills MIB in blocks of many sizes
 *                             at that speed, frees all of it, says "idle", and waits again; the
 *                             threads stay, parked
 *   memory grow MIB           says "small"; grows by that at each SIGUSR1, by ten times that at
 *                             each SIGUSR2, keeps it, and says "grown"
 *   memory prefork MIB WORKERS STEP
 *                             fills MIB and forks; each worker writes to its copy, frees it, fills
 *                             and frees as much of its own, says "idle" and sleeps; then goes on
 *                             as grow STEP
 *   memory hog MIB_PER_S      grows at that speed until something ends it
 *   memory read FILE          reads the file over and over
 *   memory bomb ATTEMPTS      says "bomb"; it and its children fork until they have tried so often
 *                             in all; then they sleep
 *
 * All of them end with 0 on SIGTERM.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define THREADS_MAX 64

static volatile sig_atomic_t told; /* the signal */

static void on_user(int signal)
{
	told = signal;
}

static void on_term(int signal)
{
	(void)signal;
	_exit(0);
}

static void say(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
}

static void nap_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
}

/* 64 bytes to 64 KiB, small ones as often as large ones. */
static size_t block_bytes(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005U + 1442695040888963407U;
	return (size_t)64 << (*seed >> 33) % 11;
}

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct part {
	pthread_t thread;
	size_t bytes;
	uint64_t bytes_per_s;
	uint64_t seed;
	pthread_barrier_t *round;
};

/* A list of blocks through their first words. */
static void **fill(const struct part *part)
{
	uint64_t start_ms = clock_ms();
	uint64_t seed = part->seed;
	void **first = NULL;
	for (size_t sum = 0; sum < part->bytes;) {
		size_t size = block_bytes(&seed);
		void **block = malloc(size);
		if (block == NULL)
			exit(3);
		memset(block, 1, size);
		*block = first;
		first = block;
		sum += size;
		while (sum > (clock_ms() - start_ms + 5) * part->bytes_per_s / 1000)
			nap_ms(5);
	}
	return first;
}

/* Nobody frees before all have filled, or one would fill what another has freed. */
static void *run_part(void *argument)
{
	struct part *part = argument;
	for (;;) {
		pthread_barrier_wait(part->round);
		void **first = fill(part);
		pthread_barrier_wait(part->round);
		while (first != NULL) {
			void **next = *first;
			free(first);
			first = next;
		}
		pthread_barrier_wait(part->round);
	}
	return NULL;
}

static int wait_told(void)
{
	sigset_t user;
	sigset_t before;
	sigemptyset(&user);
	sigaddset(&user, SIGUSR1);
	sigaddset(&user, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &user, &before);
	while (!told)
		sigsuspend(&before);
	int signal = told;
	told = 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return signal;
}

static int run_idle(size_t mib, unsigned threads, uint64_t mib_per_s)
{
	static struct part part[THREADS_MAX];
	pthread_barrier_t round;
	sigset_t user;
	if (threads == 0 || threads > THREADS_MAX)
		return 2;
	pthread_barrier_init(&round, NULL, threads + 1);
	sigemptyset(&user);
	sigaddset(&user, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &user, NULL);
	for (unsigned i = 0; i < threads; i++) {
		part[i] = (struct part){.bytes = mib * MIB / threads,
			.bytes_per_s = mib_per_s * MIB / threads,
			.seed = i + 1,
			.round = &round};
		if (pthread_create(&part[i].thread, NULL, run_part, &part[i]) != 0)
			return 3;
	}
	pthread_sigmask(SIG_UNBLOCK, &user, NULL);
	say("empty");
	for (;;) {
		wait_told();
		for (unsigned i = 0; i < 3; i++)
			pthread_barrier_wait(&round);
		say("idle");
	}
}

/* Written to a list, so that no compiler takes it for useless. */
static void grow(size_t bytes)
{
	static void **volatile last;
	void **block = malloc(bytes);
	if (block == NULL)
		return;
	memset(block, 1, bytes);
	*block = last;
	last = block;
}

static void grow_when_told(size_t bytes)
{
	for (;;) {
		grow(wait_told() == SIGUSR2 ? 10 * bytes : bytes);
		say("grown");
	}
}

/* By the clock: naps last longer where the machine is slow. */
static void grow_for_ever(uint64_t mib_per_s)
{
	uint64_t start_ms = clock_ms();
	for (uint64_t mib = 0;; nap_ms(5))
		for (; mib < (clock_ms() - start_ms) * mib_per_s / 1000; mib++)
			grow(MIB);
}

/* What the parent of workers keeps. */
static void **kept;

static void free_all(void **first)
{
	while (first != NULL) {
		void **next = *first;
		free(first);
		first = next;
	}
}

/* What it inherited is given back when it is freed, what it has of its own stays. */
static _Noreturn void be_worker(void **first, const struct part *part)
{
	for (void **block = first; block != NULL; block = *block)
		block[1] = block;
	free_all(first);
	free_all(fill(part));
	say("idle");
	for (;;)
		pause();
}

static void fork_workers(size_t mib, unsigned long workers)
{
	const struct part part = {.bytes = mib * MIB, .bytes_per_s = 1000 * MIB};
	void **first = fill(&part);
	for (unsigned long i = 0; i < workers; i++)
		if (fork() == 0)
			be_worker(first, &part);
	kept = first;
}

static int read_for_ever(const char *path)
{
	static char buffer[1 << 16];
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return 3;
		while (read(fd, buffer, sizeof buffer) > 0)
			continue;
		close(fd);
	}
}

/* The attempts are counted in memory that all of them share.  A refused fork is one as well. */
static int fork_for_ever(unsigned long attempts)
{
	_Atomic unsigned long *tried = mmap(
		NULL, sizeof *tried, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tried == MAP_FAILED)
		return 3;
	say("bomb");
	while (atomic_fetch_add(tried, 1) < attempts)
		if (fork() < 0)
			nap_ms(100);
	for (;;)
		pause();
}

int main(int count, char **argument)
{
	signal(SIGUSR1, on_user);
	signal(SIGUSR2, on_user);
	signal(SIGTERM, on_term);
	if (count == 5 && strcmp(argument[1], "idle") == 0)
		return run_idle(strtoul(argument[2], NULL, 10),
			(unsigned)strtoul(argument[3], NULL, 10), strtoul(argument[4], NULL, 10));
	if (count == 3 && strcmp(argument[1], "grow") == 0) {
		say("small");
		grow_when_told(strtoul(argument[2], NULL, 10) * MIB);
	}
	if (count == 5 && strcmp(argument[1], "prefork") == 0) {
		fork_workers(strtoul(argument[2], NULL, 10), strtoul(argument[3], NULL, 10));
		say("small");
		grow_when_told(strtoul(argument[4], NULL, 10) * MIB);
	}
	if (count == 3 && strcmp(argument[1], "hog") == 0)
		grow_for_ever(strtoul(argument[2], NULL, 10));
	if (count == 3 && strcmp(argument[1], "read") == 0)
		return read_for_ever(argument[2]);
	if (count == 3 && strcmp(argument[1], "bomb") == 0)
		return fork_for_ever(strtoul(argument[2], NULL, 10));
	fprintf(stderr, "usage: memory idle MIB THREADS MIB_PER_S | grow MIB | "
			"prefork MIB WORKERS STEP | hog MIB_PER_S | read FILE | bomb ATTEMPTS\n");
	return 2;
}
