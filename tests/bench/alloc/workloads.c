#include "tests/bench/alloc/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * workloads NAME [DIVISOR]: runs one and prints how many nanoseconds it took; without a name,
 * lists them.  DIVISOR: so much less of it, where one thread does it.
 * workloads cost BYTES: what blocks of that size cost, resident over asked for.
 */

static const struct {
	const char *name;
	void (*run)(void);
} workloads[] = {
	{"churn", churn},
	{"lifo", lifo},
	{"grow", grow},
	{"large", large},
	{"large-4m", large_to_4_mib},
	{"regrow", regrow},
	{"calloc", zeroed},
	{"aligned", aligned},
	{"fragment", fragment},
	{"threads", churn_threads},
	{"larson", larson},
	{"larson-2", larson_2},
	{"queue", produce_consume},
	{"mstress", mstress},
	{"mstress-2", mstress_2},
	{"crowd-16", crowd_16},
	{"crowd-64", crowd_64},
	{"prefork", prefork},
	{"exchange-2", exchange_2},
	{"exchange-4", exchange_4},
	{"exchange-16", exchange_16},
	{"hand-off-2", hand_off_2},
	{"hand-off-4", hand_off_4},
	{"hand-off-16", hand_off_16},
	{"hand-off-64", hand_off_64_bytes},
	{"uneven-2", uneven_2},
	{"uneven-4", uneven_4},
	{"uneven-16", uneven_16},
	{"uneven-8k", uneven_to_8_kib},
	{"lists", lists},
	{"short", short_lists},
	{"short-2", short_lists_2},
	{"pile-2", pile_2},
	{"pile-4", pile_4},
	{"pile-16", pile_16},
	{"pile-sizes", pile_of_sizes},
	{"shelves", shelves},
	{"shelves-2", shelves_2},
};

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000000000U + (unsigned long long)now.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "cost") == 0 && atoi(argv[2]) > 0) {
		print_cost((size_t)atoi(argv[2]));
		return 0;
	}
	for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
		unsigned long long start_ns;

		if (argc < 2) {
			puts(workloads[i].name);
			continue;
		}
		if (strcmp(argv[1], workloads[i].name) != 0)
			continue;
		if (argc > 2 && atoi(argv[2]) > 0)
			work_divisor = (size_t)atoi(argv[2]);
		start_ns = now_ns();
		workloads[i].run();
		printf("%llu\n", now_ns() - start_ns);
		return 0;
	}
	if (argc < 2)
		return 0;
	fprintf(stderr, "workloads: no workload %s; without a name they are listed\n", argv[1]);
	return 2;
}
