#include "tests/bench/elastic/worker.h"

#include "tests/bench/alloc/workload.h"
#include "tests/bench/idle/block.h"
#include "tests/preload/check.h"

#include <errno.h>

#define HALF_BYTES (48 * MIB)
/* Below the mean of staying_bytes. */
#define BYTES_AT_LEAST 8000U
#define TEMPORARY 512U
#define REPLACED 1U
#define OTHERS_ONE_IN 8U
#define HOT_ONE_IN 8U
#define LARGE_ONE_IN 1000U

/* The part flat out. */
#define SECOND_NS ((uint64_t)1000000000)
#define FLAT_S 10U
#define FLAT_BURST_S 3U
#define FLAT_HOLD 200U

struct service service;

static void live_add(struct worker *worker, int64_t bytes)
{
	bytes += atomic_load_explicit(&worker->live_bytes, memory_order_relaxed);
	atomic_store_explicit(&worker->live_bytes, bytes, memory_order_relaxed);
}

/* A block begins with its size. */
static void *block_new(struct worker *worker, size_t bytes)
{
	size_t *block = block_make(bytes);

	*block = bytes;
	live_add(worker, (int64_t)bytes);
	worker->blocks++;
	return block;
}

static void block_end(struct worker *worker, void *block)
{
	live_add(worker, -(int64_t) * (size_t *)block);
	free(block);
}

static size_t staying_bytes(uint64_t *seed)
{
	size_t bytes = (size_t)64 << random_step(seed) % 10;

	if (random_step(seed) % LARGE_ONE_IN == 0)
		return 100 * KIB + random_step(seed) % (156 * KIB + 1);
	return bytes + random_step(seed) % bytes;
}

void worker_init(struct worker *worker, uint64_t seed)
{
	worker->seed = seed;
	worker->places.room = HALF_BYTES / BYTES_AT_LEAST;
	worker->places.blocks = block_new(worker, worker->places.room * sizeof(void *));
	worker->burst_room = BURST_GROW * (BURST_STEP_BYTES / BYTES_AT_LEAST);
	worker->burst_blocks = block_new(worker, worker->burst_room * sizeof(void *));
}

static void places_fill(struct worker *worker)
{
	struct places *places = &worker->places;

	while (worker->live_bytes < (int64_t)HALF_BYTES) {
		CHECK(places->count < places->room);
		places->blocks[places->count++] = block_new(worker, staying_bytes(&worker->seed));
	}
}

static void replace_one(struct worker *worker)
{
	uint64_t dice = random_step(&worker->seed);
	struct worker *other = &service.workers[worker == &service.workers[0]];
	struct places *places = dice % OTHERS_ONE_IN == 0 ? &other->places : &worker->places;
	size_t among = dice / OTHERS_ONE_IN % 2 == 0 ? places->count : places->count / HOT_ONE_IN;
	void *block = block_new(worker, staying_bytes(&worker->seed));

	block_end(worker,
		atomic_exchange(&places->blocks[random_step(&worker->seed) % among], block));
}

static void burst_grow(struct worker *worker)
{
	size_t made_bytes = 0;

	while (made_bytes < BURST_STEP_BYTES) {
		size_t bytes = staying_bytes(&worker->seed);

		CHECK(worker->burst_count < worker->burst_room);
		worker->burst_blocks[worker->burst_count++] = block_new(worker, bytes);
		made_bytes += bytes;
	}
}

static void burst_free(struct worker *worker)
{
	for (size_t i = 0; i < worker->burst_free_step && worker->burst_count > 0; i++) {
		size_t picked = random_step(&worker->seed) % worker->burst_count;

		block_end(worker, worker->burst_blocks[picked]);
		worker->burst_blocks[picked] = worker->burst_blocks[--worker->burst_count];
	}
}

/* What request number does for a burst that it is part of. */
static void burst_serve(struct worker *worker, const struct burst *burst, uint32_t number)
{
	uint32_t free_from = burst->first + BURST_GROW + burst->hold;

	if (number < burst->first + BURST_GROW)
		burst_grow(worker);
	if (number == free_from)
		worker->burst_free_step = (worker->burst_count + BURST_GROW - 1) / BURST_GROW;
	if (number >= free_from)
		burst_free(worker);
}

static void request_serve(struct worker *worker, const struct burst *burst, uint32_t number)
{
	void *temporary[TEMPORARY];

	for (unsigned i = 0; i < TEMPORARY; i++)
		temporary[i] = block_new(worker, block_bytes(&worker->seed));
	for (unsigned i = 0; i < REPLACED; i++)
		replace_one(worker);
	if (burst != NULL)
		burst_serve(worker, burst, number);
	for (unsigned i = 0; i < TEMPORARY; i++)
		block_end(worker, temporary[i]);
}

static void sleep_until(uint64_t due_ns)
{
	struct timespec due = {
		.tv_sec = (time_t)(due_ns / 1000000000U),
		.tv_nsec = (long)(due_ns % 1000000000U),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

static void requests_serve(struct worker *worker)
{
	size_t next = 0; /* burst, or the one that is on */

	for (uint32_t number = 0; number < service.requests; number++) {
		struct burst *burst = &service.bursts[next];
		bool is_on = next < service.burst_count && number >= burst->first;
		uint64_t due_ns = worker_due_ns(number);
		uint64_t begin_ns;
		uint64_t end_ns;

		sleep_until(due_ns);
		begin_ns = clock_ns(CLOCK_MONOTONIC);
		request_serve(worker, is_on ? burst : NULL, number);
		end_ns = clock_ns(CLOCK_MONOTONIC);
		histogram_add(is_on ? &worker->burst : &worker->calm, end_ns - begin_ns);
		if (begin_ns - due_ns > worker->late_max_ns)
			worker->late_max_ns = begin_ns - due_ns;
		if (is_on && number + 1 == burst_end(burst))
			worker->burst_end_ns[next++] = end_ns;
	}
}

/* Requests without a pause, a burst among them, for FLAT_S. */
static void requests_serve_flat(struct worker *worker)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	struct burst burst = {.first = UINT32_MAX - 2 * BURST_GROW - FLAT_HOLD, .hold = FLAT_HOLD};
	uint64_t now_ns = begin_ns;
	uint32_t number = 0;

	for (; now_ns - begin_ns < FLAT_S * SECOND_NS; number++) {
		if (now_ns - begin_ns > FLAT_BURST_S * SECOND_NS && number < burst.first)
			burst.first = number;
		request_serve(worker,
			number >= burst.first && number < burst_end(&burst) ? &burst : NULL,
			number);
		now_ns = clock_ns(CLOCK_MONOTONIC);
	}
	worker->flat_requests = number;
	worker->flat_ns = now_ns - begin_ns;
}

void *worker_run(void *arg)
{
	struct worker *worker = arg;

	places_fill(worker);
	pthread_barrier_wait(&service.filled);
	pthread_barrier_wait(&service.start);
	worker->blocks = 0;
	worker->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	requests_serve(worker);
	worker->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - worker->cpu_ns;
	service.running--;
	pthread_barrier_wait(&service.flat);
	requests_serve_flat(worker);
	return NULL;
}
