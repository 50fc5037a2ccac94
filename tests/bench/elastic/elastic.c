#include "tests/bench/alloc/workload.h"
#include "tests/bench/elastic/crossing.h"
#include "tests/bench/elastic/worker.h"
#include "tests/bench/idle/block.h"
#include "tests/preload/check.h"

#include <malloc.h>
#include <sys/resource.h>

/*
 * elastic SECONDS [TRIM_MS]: a server with bursts.
 *
 * Two workers serve requests (worker.h), in bursts (burst.h) that need three and a half
 * times the 96 MiB that always live.  The main thread notes the live bytes every 20 ms and
 * allocates nothing meanwhile.  With TRIM_MS another thread calls malloc_trim after each such time.
 *
 * On stdout when all is over, a word and numbers each, times since the first request was due:
 *
 *	start NS			when that was, by CLOCK_MONOTONIC
 *	wall US
 *	cpu WORKERS_US MAIN_US USER_US SYSTEM_US
 *					of the workers and the main thread, of the whole process
 *	faults MINOR
 *	live US BYTES			asked for and not yet freed
 *	burst BEGIN_US END_US		from when it was due until its last block was freed
 *	latency all|calm|burst COUNT P50 P99 P99.9 MAX	of requests, in ns
 *	late NS				the most that a request began after it was due
 *	blocks COUNT			allocated
 *	flat REQUESTS			by second, in ten seconds without a pause behind all that
 *	crossing NS NS			between processors before those and after them (crossing.h)
 *
 * All but that from the first request on until the last that is paced: the live set is
 * there by then.
 */

#define SECONDS_LEAST 10U
#define SECONDS_MAX 600U
#define SAMPLE_NS 20000000U

struct sample {
	uint64_t at_ns;
	int64_t live_bytes;
};

static struct {
	struct sample *samples;
	size_t count;
	size_t room;
} record;

static int64_t live_bytes(void)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += service.workers[i].live_bytes;
	return sum;
}

static void record_init(uint32_t seconds)
{
	record.room = (size_t)2 * seconds * (1000000000U / SAMPLE_NS);
	record.samples = calloc(record.room, sizeof *record.samples);
	CHECK(record.samples != NULL);
}

/* Longer than planned where the machine was too busy for the server. */
static void record_run(void)
{
	while (service.running > 0 && record.count < record.room) {
		record.samples[record.count++] = (struct sample){
			.at_ns = clock_ns(CLOCK_MONOTONIC),
			.live_bytes = live_bytes(),
		};
		nanosleep(&(struct timespec){.tv_nsec = SAMPLE_NS}, NULL);
	}
}

static void *trim_run(void *arg)
{
	long ms = *(long *)arg;

	for (;;) {
		nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000},
			NULL);
		malloc_trim(0);
	}
	return NULL;
}

static void trim_start(long ms)
{
	static long every_ms;
	pthread_t thread;

	every_ms = ms;
	CHECK(pthread_create(&thread, NULL, trim_run, &every_ms) == 0);
	CHECK(pthread_detach(thread) == 0);
}

static unsigned long long since_start_us(uint64_t at_ns)
{
	return (at_ns - service.start_ns) / 1000;
}

static unsigned long long spent_us(struct timeval before, struct timeval after)
{
	return (unsigned long long)((after.tv_sec - before.tv_sec) * 1000000 + after.tv_usec -
				    before.tv_usec);
}

static void record_tell(void)
{
	for (size_t i = 0; i < record.count; i++)
		printf("live %llu %lld\n", since_start_us(record.samples[i].at_ns),
			(long long)record.samples[i].live_bytes);
}

static void bursts_tell(void)
{
	for (size_t i = 0; i < service.burst_count; i++) {
		uint64_t end_ns = 0;

		for (unsigned k = 0; k < WORKERS; k++)
			if (service.workers[k].burst_end_ns[i] > end_ns)
				end_ns = service.workers[k].burst_end_ns[i];
		printf("burst %llu %llu\n", since_start_us(worker_due_ns(service.bursts[i].first)),
			since_start_us(end_ns));
	}
}

static void latency_tell(const char *which, const struct histogram *histogram)
{
	printf("latency %s %llu", which, (unsigned long long)histogram->total);
	for (size_t i = 0; i < 3; i++)
		printf(" %llu", (unsigned long long)histogram_quantile_us(
					histogram, (uint32_t[]){500, 990, 999}[i]));
	printf(" %llu\n", (unsigned long long)histogram->max_us);
}

static void workers_tell(void)
{
	static struct histogram calm;
	static struct histogram burst;
	uint64_t late_ns = 0;
	uint64_t blocks = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		const struct worker *worker = &service.workers[i];

		histogram_merge(&calm, &worker->calm);
		histogram_merge(&burst, &worker->burst);
		late_ns = worker->late_max_ns > late_ns ? worker->late_max_ns : late_ns;
		blocks += worker->blocks;
	}
	latency_tell("calm", &calm);
	latency_tell("burst", &burst);
	histogram_merge(&calm, &burst);
	latency_tell("all", &calm);
	printf("late %llu\nblocks %llu\n", (unsigned long long)late_ns, (unsigned long long)blocks);
}

static void run(void)
{
	uint64_t workers_ns = 0;
	double flat_s = 0;
	uint32_t crossing;
	uint64_t main_ns;
	struct rusage before;
	struct rusage after;

	pthread_barrier_wait(&service.filled);
	main_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	getrusage(RUSAGE_SELF, &before);
	service.start_ns = clock_ns(CLOCK_MONOTONIC);
	pthread_barrier_wait(&service.start);
	record_run();
	getrusage(RUSAGE_SELF, &after);
	main_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - main_ns;
	printf("wall %llu\n", since_start_us(clock_ns(CLOCK_MONOTONIC)));
	crossing = crossing_ns();
	pthread_barrier_wait(&service.flat);
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(service.workers[i].thread, NULL);
		workers_ns += service.workers[i].cpu_ns;
		flat_s += (double)service.workers[i].flat_requests /
			  ((double)service.workers[i].flat_ns / 1e9);
	}
	printf("start %llu\n", (unsigned long long)service.start_ns);
	printf("flat %.0f\n", flat_s);
	printf("crossing %u %u\n", crossing, crossing_ns());
	printf("cpu %llu %llu %llu %llu\n", (unsigned long long)workers_ns / 1000,
		(unsigned long long)main_ns / 1000, spent_us(before.ru_utime, after.ru_utime),
		spent_us(before.ru_stime, after.ru_stime));
	printf("faults %ld\n", after.ru_minflt - before.ru_minflt);
}

int main(int argc, char **argv)
{
	static char output[4096];
	uint32_t seconds = argc >= 2 ? (uint32_t)atoi(argv[1]) : 0;

	if (argc > 3 || seconds < SECONDS_LEAST || seconds > SECONDS_MAX) {
		fprintf(stderr, "usage: elastic SECONDS [TRIM_MS], %u to %u seconds\n",
			SECONDS_LEAST, SECONDS_MAX);
		return 2;
	}
	setvbuf(stdout, output, _IOFBF, sizeof output);
	service.burst_count = burst_plan(service.bursts, seconds);
	service.requests = seconds * REQUESTS_PER_S;
	service.running = WORKERS;
	pthread_barrier_init(&service.filled, NULL, WORKERS + 1);
	pthread_barrier_init(&service.flat, NULL, WORKERS + 1);
	pthread_barrier_init(&service.start, NULL, WORKERS + 1);
	record_init(seconds);
	for (unsigned i = 0; i < WORKERS; i++)
		worker_init(&service.workers[i], 1 + i);
	for (unsigned i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&service.workers[i].thread, NULL, worker_run,
			      &service.workers[i]) == 0);
	if (argc == 3)
		trim_start(atol(argv[2]));
	run();
	record_tell();
	bursts_tell();
	workers_tell();
	return 0;
}
