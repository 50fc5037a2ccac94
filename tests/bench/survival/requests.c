/*
 * A server that forks a child for each request.
 *
 *   requests STATE MIB SHAPE REQUESTS
 *
 * The parent has STATE MiB live throughout.  For each request it builds a burst of MIB of SHAPE
 * (load.h), works on it, frees all but one block in twelve, and forks a child, which builds a burst
 * of its own beside all that it inherited and ends when the next child has built its own.  So the
 * state, two bursts and the parent's rest are live at most.
 *
 * At the end it prints "peak BYTES", as burst does.  Ends with 0, or with 1 when a child was
 * killed.
 */
#include "tests/bench/survival/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct load_live *live;
static const struct load_shape *shape;
static size_t burst_bytes;

/* Step r: request r's burst is built. */
static void be_child(unsigned request, unsigned requests)
{
	struct load load = {.live = live, .seed = 1442695040888963407U + request};
	load_build(&load, shape, burst_bytes);
	load_use(&load);
	load_step_set(live, request);
	if (request < requests)
		load_step_wait(live, request + 1);
	load_free(&load, true);
	_exit(0);
}

static bool serve(struct load *burst, unsigned request, unsigned requests)
{
	pid_t pid;
	load_build(burst, shape, burst_bytes);
	load_use(burst);
	load_let_go(burst);
	pid = fork();
	if (pid == 0)
		be_child(request, requests);
	if (pid < 0)
		return false;
	load_step_wait(live, request);
	return true;
}

int main(int count, char **argument)
{
	bool good = count == 5;
	unsigned requests = good ? (unsigned)strtoul(argument[4], NULL, 10) : 0;
	struct load state = {.seed = 7};
	struct load burst = {.seed = 88172645463325252U};
	shape = good ? load_shape(argument[3]) : NULL;
	if (shape == NULL || requests == 0) {
		fprintf(stderr, "usage: requests STATE MIB mixed|tiny|large|drift REQUESTS\n");
		return 2;
	}
	burst_bytes = strtoul(argument[2], NULL, 10) * LOAD_MIB;
	live = state.live = burst.live = load_share(NULL);
	load_build(&state, shape, strtoul(argument[1], NULL, 10) * LOAD_MIB);
	for (unsigned request = 1; request <= requests; request++)
		if (!serve(&burst, request, requests))
			return 1;
	for (unsigned request = 1; request <= requests; request++) {
		int status;
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			return 1;
	}
	printf("peak %llu\n", (unsigned long long)atomic_load(&live->peak_bytes));
	return 0;
}
