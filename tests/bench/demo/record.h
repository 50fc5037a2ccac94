#ifndef TESTS_BENCH_DEMO_RECORD_H
#define TESTS_BENCH_DEMO_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/demo/schedule.h"

/*
 * What one run of the demo measured: the driver writes it as lines of text, the
 * report reads two of them.
 */

#define RECORD_NAME_BYTES 32
#define RECORD_KILLS_MAX 1024U

struct record_sample {
	uint32_t at_ms;
	uint64_t current_bytes;
	uint64_t live_bytes[SCHEDULE_WORKERS];
};

struct record_totals {
	uint64_t limit_bytes;
	uint64_t elapsed_ms;
	uint64_t schedule_ms; /* how much of the schedule was done */
	uint64_t schedule_length_ms;
	uint64_t schedule_needed_ms; /* until every worker has swelled once */
	uint64_t kills;              /* by the kernel for want of memory */
	uint64_t restarts;
	uint64_t served;
	uint64_t lost;
	uint64_t wrong;
	uint64_t objects_lost;
	uint64_t latency_p50_us;
	uint64_t latency_p99_us;
	uint64_t latency_max_us;
	uint64_t current_peak_bytes;
	uint64_t current_mean_bytes;
	uint64_t live_peak_bytes;
	uint64_t clean_exit; /* 1: everything ended by itself when asked to */
	uint64_t supervised; /* 1: under spillway; only then what follows is known */
	uint64_t released_background_bytes;
	uint64_t released_growth_bytes;
	uint64_t released_lazy_bytes;
	uint64_t released_eager_bytes;
	uint64_t released_full_bytes;
};

struct record {
	char name[RECORD_NAME_BYTES];
	struct record_totals totals;
	size_t kill_count; /* those of which the moment is known */
	uint32_t kill_ms[RECORD_KILLS_MAX];
	size_t sample_count;
	size_t sample_capacity;
	struct record_sample *samples;
};

/* A kill over RECORD_KILLS_MAX is not kept. */
void record_kill(struct record *record, uint32_t at_ms);

/* 0 or -ENOMEM. */
int record_sample(struct record *record, const struct record_sample *sample);

/* Peak and mean of what the samples say, into totals; a peak already there stays if higher. */
void record_summarise(struct record *record);

int record_save(const struct record *record, const char *path);

/* *record must be empty.  0 or -errno; -EPROTO where the text is not a record. */
int record_load(struct record *record, const char *path);

void record_free(struct record *record);

#endif
