/*
 * Workers whose bursts of live memory take turns, so that the peak of what is live at once is
 * known.
 *
 *   burst [-g TIMES] [-i MIB] [-j FILE -n NUMBER] WORKERS THREADS MIB SHAPE ROUNDS
 *
 * WORKERS processes with THREADS threads each.  In each turn the next thread of all builds a burst
 * of MIB of SHAPE (load.h) while the one before it still holds its own; then that one frees its
 * burst except for one block in twelve, which it keeps until its next burst.  So two bursts and the
 * rests of all others are live at most, whatever the speed.
 *
 *	-g	the bursts of the first thread are TIMES as large, and nothing is done with them:
 *		it grows as fast as it can
 *	-i	the first process fills so many MiB, forks the workers, and keeps it; each worker
 *		frees its copy before its first burst
 *	-j -n	there is no first process: this one is worker NUMBER, and meets the others, which
 *		are started likewise, in the file: 4096 bytes, all zero
 *
 * At the end it prints "peak BYTES": the highest sum of the requested bytes of live blocks.  Ends
 * with 0, or with 1 when a worker was killed.
 */
#include "tests/bench/survival/load.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACTORS_MAX 128U

struct actor {
	pthread_t thread;
	unsigned number;
	struct load load;
};

static struct load_live *live;
static struct load inherited = {.seed = 7};
static const struct load_shape *shape;
static size_t burst_bytes;
static unsigned workers;
static unsigned threads;
static unsigned actors;
static unsigned turns;
static unsigned growth = 1;

static void burst(struct actor *actor)
{
	bool grows = growth > 1 && actor->number == 0;
	load_build(&actor->load, shape, grows ? growth * burst_bytes : burst_bytes);
	if (!grows)
		load_use(&actor->load);
}

/* Step 2 t: turn t's burst is built; 2 t + 1: the one that it relieves is freed. */
static void *run(void *argument)
{
	struct actor *actor = argument;
	/* One actor alone frees before it builds again. */
	unsigned held = actors > 1 ? 1 : 0;
	for (unsigned turn = actor->number; turn < turns; turn += actors) {
		load_step_wait(live, 2 * turn);
		burst(actor);
		load_step_set(live, 2 * turn + (turn < held ? 2 : 1));
		/* After the last turn nobody builds. */
		load_step_wait(live, 2 * (turn + held) + (turn + held < turns ? 1 : 0));
		load_let_go(&actor->load);
		load_step_set(live, 2 * (turn + held) + 2);
	}
	return NULL;
}

static void be_worker(unsigned worker)
{
	static struct actor actor[ACTORS_MAX];
	load_free(&inherited, false);
	for (unsigned i = 0; i < threads; i++) {
		unsigned number = worker * threads + i;
		actor[i] = (struct actor){.number = number,
			.load = {.live = live, .seed = 88172645463325252U + number}};
		if (pthread_create(&actor[i].thread, NULL, run, &actor[i]) != 0)
			_exit(3);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(actor[i].thread, NULL);
}

static void print_peak(void)
{
	printf("peak %llu\n", (unsigned long long)atomic_load(&live->peak_bytes));
}

/* Whether all workers came to their end. */
static bool wait_workers(const pid_t *pid)
{
	bool good = true;
	for (unsigned i = 0; i < workers; i++) {
		int status;
		pid_t ended = wait(&status);
		if (ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		for (unsigned k = 0; good && k < workers; k++)
			kill(pid[k], SIGKILL);
		good = false;
	}
	return good;
}

static int run_workers(size_t inherited_bytes)
{
	pid_t pid[ACTORS_MAX];
	inherited.live = live;
	if (inherited_bytes > 0)
		load_build(&inherited, shape, inherited_bytes);
	for (unsigned i = 0; i < workers; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			be_worker(i);
			_exit(0);
		}
	}
	if (!wait_workers(pid))
		return 1;
	print_peak();
	return 0;
}

static bool read_positions(int count, char **position)
{
	if (count != 5)
		return false;
	workers = (unsigned)strtoul(position[0], NULL, 10);
	threads = (unsigned)strtoul(position[1], NULL, 10);
	burst_bytes = strtoul(position[2], NULL, 10) * LOAD_MIB;
	shape = load_shape(position[3]);
	actors = workers * threads;
	turns = (unsigned)strtoul(position[4], NULL, 10) * actors;
	return shape != NULL && workers > 0 && threads > 0 && workers <= ACTORS_MAX &&
	       threads <= ACTORS_MAX / workers;
}

int main(int count, char **argument)
{
	const char *file = NULL;
	size_t inherited_bytes = 0;
	unsigned number = 0;
	int option;
	while ((option = getopt(count, argument, "g:i:j:n:")) != -1) {
		if (option == 'g')
			growth = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'i')
			inherited_bytes = strtoul(optarg, NULL, 10) * LOAD_MIB;
		else if (option == 'j')
			file = optarg;
		else if (option == 'n')
			number = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (!read_positions(count - optind, argument + optind) || number >= workers) {
		fprintf(stderr,
			"usage: burst [-g TIMES] [-i MIB] [-j FILE -n NUMBER] WORKERS THREADS MIB "
			"mixed|tiny|large|drift ROUNDS\n");
		return 2;
	}
	live = load_share(file);
	if (file == NULL)
		return run_workers(inherited_bytes);
	be_worker(number);
	/* The last turn is that of the last worker. */
	if (number == workers - 1)
		print_peak();
	return 0;
}
