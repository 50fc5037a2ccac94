/*
 * One life on one policy: simulate POLICY TRACE [SAMPLES-FILE].  TRACE is the name of a
 * made-up one (synthetic.h), or with a '/' the file of a recorded one (recorded.h); "list"
 * as the only argument tells the made-up ones' names, "policies" the policies'.
 * One line on stdout: the figures that tests/bench/simulate/run makes its table of.
 */
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "tests/bench/simulate/recorded.h"
#include "tests/bench/simulate/replay.h"
#include "tests/bench/simulate/synthetic.h"

#include <stdlib.h>
#include <string.h>

static const char *const policies[HEAP_POLICIES] = {
	[HEAP_ADAPTIVE] = "adaptive",
	[HEAP_OFF] = "off",
	[HEAP_GO1_11] = "go1.11",
	[HEAP_GO1_12] = "go1.12",
	[HEAP_GO1_13] = "go1.13",
	[HEAP_DECAY] = "decay",
};

static int policy_by_name(const char *name)
{
	for (int i = 0; i < HEAP_POLICIES; i++)
		if (strcmp(policies[i], name) == 0)
			return i;
	return -1;
}

static const struct synthetic *synthetic_by_name(const char *name)
{
	for (unsigned i = 0; i < synthetics_count; i++)
		if (strcmp(synthetics[i].name, name) == 0)
			return &synthetics[i];
	return NULL;
}

static void print(const struct replay_costs *costs)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	printf("%.6f %.6f %.6f %.6f %.3f %.3f %.3f %llu %llu %llu %llu\n",
		(double)costs->advise_ns / 1e9, (double)costs->refault_ns / 1e9,
		(double)costs->lazy_reuse_ns / 1e9, (double)costs->keep_ns / 1e9, costs->seconds,
		costs->resident_byte_s / costs->seconds / 1048576,
		costs->in_use_byte_s / costs->seconds / 1048576,
		(unsigned long long)costs->refault_pages,
		(unsigned long long)stats.regret_release_bytes,
		(unsigned long long)stats.regret_hold_bytes, (unsigned long long)costs->steps);
}

static bool list(const char *what)
{
	if (strcmp(what, "list") == 0)
		for (unsigned i = 0; i < synthetics_count; i++)
			puts(synthetics[i].name);
	else if (strcmp(what, "policies") == 0)
		for (int i = 0; i < HEAP_POLICIES; i++)
			puts(policies[i]);
	else
		return false;
	return true;
}

int main(int count, char **arguments)
{
	struct heap_tuning tuning = {.cpu_permille = HEAP_CPU_PERMILLE, .price_ns = HEAP_PRICE_NS};
	const struct synthetic *synthetic;
	struct recorded recorded;
	struct replay_costs costs;
	FILE *samples = NULL;
	int policy;

	if (count == 2 && list(arguments[1]))
		return 0;
	if (count < 3) {
		fputs("usage: simulate POLICY TRACE [SAMPLES-FILE], or simulate list|policies\n",
			stderr);
		return 2;
	}
	policy = policy_by_name(arguments[1]);
	synthetic = synthetic_by_name(arguments[2]);
	if (policy < 0 || (synthetic == NULL && strchr(arguments[2], '/') == NULL)) {
		fprintf(stderr, "simulate: unknown %s %s\n", policy < 0 ? "policy" : "trace",
			policy < 0 ? arguments[1] : arguments[2]);
		return 2;
	}
	if (synthetic == NULL && !recorded_read(arguments[2], &recorded))
		return 1;
	if (count > 3 && (samples = fopen(arguments[3], "w")) == NULL) {
		perror(arguments[3]);
		return 1;
	}
	tuning.policy = (enum heap_policy)policy;
	replay_begin(&tuning, samples, synthetic != NULL ? synthetic->seconds : recorded.seconds);
	if (synthetic != NULL)
		synthetic->play();
	else if (!recorded_play(&recorded))
		return 1;
	replay_end(&costs);
	print(&costs);
	return samples != NULL && fclose(samples) != 0;
}
