#include "tests/bench/simulate/synthetic.h"

#include "shim/heap/base/page.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "tests/bench/simulate/cost.h"
#include "tests/bench/simulate/replay.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)
#define MS_NS ((uint64_t)1000000)
#define SECOND_NS (1000 * MS_NS)
#define BLOCKS_MAX ((size_t)1 << 20)

/* Blocks that belong together. */
struct pool {
	void *blocks[BLOCKS_MAX];
	size_t sizes[BLOCKS_MAX];
	size_t count;
	size_t bytes;
};

static struct pool live;
static struct pool extra;

/* Nine in ten small, which are a few KiB, one of tens to hundreds of KiB, few of MiB. */
static size_t random_size(void)
{
	uint64_t kind = random_below(1000);
	size_t size = (size_t)256 << random_below(6);

	if (kind >= 900)
		size = (size_t)16384 << random_below(5);
	if (kind >= 995)
		size = (size_t)MIB << random_below(4);
	return size + random_below(size / 2);
}

static void pool_add(struct pool *pool, size_t size)
{
	if (pool->count == BLOCKS_MAX)
		abort();
	pool->blocks[pool->count] = replay_malloc(size);
	pool->sizes[pool->count++] = size;
	pool->bytes += size;
}

static void pool_drop(struct pool *pool, size_t i)
{
	replay_free(pool->blocks[i]);
	pool->bytes -= pool->sizes[i];
	pool->count--;
	pool->blocks[i] = pool->blocks[pool->count];
	pool->sizes[i] = pool->sizes[pool->count];
}

static void pool_grow(struct pool *pool, size_t bytes)
{
	while (pool->bytes < bytes)
		pool_add(pool, random_size());
}

static void pool_shrink(struct pool *pool, size_t bytes)
{
	while (pool->bytes > bytes && pool->count > 0)
		pool_drop(pool, random_below(pool->count));
}

/* So much of the time with requests that each replace a few blocks of the live ones. */
static void serve(uint64_t ns, size_t live_bytes, uint64_t every_ns)
{
	for (uint64_t at_ns = 0; at_ns < ns; at_ns += every_ns) {
		for (int i = 0; i < 4; i++) {
			pool_grow(&live, live_bytes);
			pool_drop(&live, random_below(live.count));
		}
		replay_pass(every_ns);
	}
}

static void play_burst(void)
{
	for (int turn = 0; turn < 24; turn++) {
		serve(290 * SECOND_NS, 100 * MIB, 20 * MS_NS);
		for (size_t i = 1; i <= 10; i++) {
			pool_grow(&extra, i * 40 * MIB);
			serve(SECOND_NS, 100 * MIB, 20 * MS_NS);
		}
		pool_shrink(&extra, 0);
	}
}

static void play_query(void)
{
	serve(60 * SECOND_NS, 100 * MIB, 20 * MS_NS);
	for (size_t i = 1; i <= 20; i++) {
		pool_grow(&extra, i * 51 * MIB);
		replay_pass(100 * MS_NS);
	}
	pool_shrink(&extra, 0);
	serve(3600 * SECOND_NS, 100 * MIB, 100 * MS_NS);
}

static void saw(uint64_t period_ns, uint64_t total_ns)
{
	for (uint64_t at_ns = 0; at_ns < total_ns; at_ns += period_ns) {
		for (size_t i = 1; i <= 50; i++) {
			pool_grow(&extra, i * 6 * MIB);
			replay_pass(period_ns / 50);
		}
		pool_shrink(&extra, 0);
	}
}

static void play_saw_1s(void)
{
	saw(SECOND_NS, 600 * SECOND_NS);
}

static void play_saw_10s(void)
{
	saw(10 * SECOND_NS, 1800 * SECOND_NS);
}

static void play_saw_60s(void)
{
	saw(60 * SECOND_NS, 3600 * SECOND_NS);
}

static void play_steady(void)
{
	for (int turn = 0; turn < 3600; turn++)
		serve(SECOND_NS, 200 * MIB - 4 * MIB + random_below(8 * MIB), 20 * MS_NS);
}

static void play_diurnal(void)
{
	for (int minute = 0; minute < 24 * 60; minute++) {
		double day = sin((double)minute / (24 * 60) * 2 * 3.14159265358979);
		size_t bytes = (size_t)((225 + 175 * day) * (double)MIB);

		for (int i = 0; i < 20; i++) {
			pool_grow(&live, bytes);
			pool_shrink(&live, bytes);
			pool_grow(&extra, random_below(30 * MIB));
			serve(500 * MS_NS, bytes, 50 * MS_NS);
			pool_shrink(&extra, 0);
			replay_pass(2500 * MS_NS);
		}
	}
}

/* 64 MiB in use for a tenth of a second, then idle for so long. */
static void gap(uint64_t ns)
{
	pool_grow(&extra, 64 * MIB);
	replay_pass(100 * MS_NS);
	pool_shrink(&extra, 0);
	replay_pass(ns);
}

static uint64_t break_even_ns(void)
{
	return (uint64_t)(COST_DONTNEED_NS + COST_REFAULT_NS) * SECOND_NS / HEAP_PRICE_NS;
}

static void play_late(void)
{
	while (replay_now_ns() < 1800 * SECOND_NS)
		gap(break_even_ns() * 21 / 20);
}

static void play_fooling(void)
{
	while (replay_now_ns() < 3600 * SECOND_NS) {
		for (int i = 0; i < 200; i++)
			gap(break_even_ns() / 4);
		for (int i = 0; i < 20; i++)
			gap(break_even_ns() * 10);
	}
}

const struct synthetic synthetics[] = {
	{"burst", 7200, play_burst},
	{"query", 3662, play_query},
	{"saw-1s", 600, play_saw_1s},
	{"saw-10s", 1800, play_saw_10s},
	{"saw-60s", 3600, play_saw_60s},
	{"steady", 3600, play_steady},
	{"diurnal", 86400, play_diurnal},
	{"late", 1800, play_late},
	{"fooling", 3800, play_fooling},
};

const unsigned synthetics_count = sizeof synthetics / sizeof synthetics[0];
