#include "supervisor/tick/sampler.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

#define BASE "/sys/fs/cgroup/box"
#define MIB (UINT64_C(1) << 20)

struct bench {
	struct fake_tree tree;
	struct mode mode;
	struct sampler *sampler;
	struct sample sample;
	struct {
		struct sampler_service kept;
		struct service_sample sample;
	} service[2];
};

static void write_stall(const struct fake_tree *tree, const char *path, unsigned total_us)
{
	char text[160];
	snprintf(text, sizeof text,
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=%u\n"
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		total_us);
	fake_tree_write(tree, path, text);
}

static void read_all(struct bench *bench, struct sampler *sampler, uint64_t now_ms, size_t count)
{
	sampler_settle(sampler);
	for (size_t i = 0; i < count; i++)
		sampler_read_service(
			sampler, &bench->service[i].kept, now_ms, &bench->service[i].sample);
	sampler_read(sampler, now_ms, 0, &bench->sample);
}

static int setup(void **state)
{
	static struct bench bench;
	memset(&bench, 0, sizeof bench);
	fake_tree_open(&bench.tree);
	fake_tree_make(&bench.tree, "proc/self");
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/memory.max", "268435456\n");
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/memory.current", "104857600\n");
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/memory.events",
		"high 0\nmax 2\noom 0\noom_kill 1\n");
	write_stall(&bench.tree, "sys/fs/cgroup/box/memory.pressure", 100);
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/web/memory.max", "max\n");
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/web/memory.current", "52428800\n");
	fake_tree_write(&bench.tree, "sys/fs/cgroup/box/web/memory.events",
		"high 3\nmax 0\noom 0\noom_kill 0\n");
	write_stall(&bench.tree, "sys/fs/cgroup/box/web/memory.pressure", 200);
	bench.mode = (struct mode){.letter = MODE_B,
		.v2 = true,
		.directory = BASE,
		.mount = "/sys/fs/cgroup",
		.pressure_directory = BASE,
		.window_ms = 2000};
	assert_int_equal(sampler_open(bench.tree.fd, &bench.mode, BASE, &bench.sampler), 0);
	int leaf = fake_tree_directory(&bench.tree, "sys/fs/cgroup/box/web");
	bench.service[0].kept = bench.service[1].kept = SAMPLER_SERVICE_NONE;
	sampler_service_open(&bench.service[0].kept, leaf, NULL);
	close(leaf);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	sampler_service_close(&bench->service[0].kept);
	sampler_close(bench->sampler);
	fake_tree_close(&bench->tree);
	return 0;
}

static void test_a_sample_has_the_wall_and_the_leaf(void **state)
{
	struct bench *bench = *state;
	struct sample *sample = &bench->sample;
	bool shared;
	read_all(bench, bench->sampler, 5000, 2);
	assert_int_equal(sample->shared.limit_bytes, 256 * MIB);
	assert_int_equal(sample->shared.current_bytes, 100 * MIB);
	assert_int_equal(sample->shared_events.max, 2);
	assert_int_equal(sample->shared_stall.some_us, 100);
	assert_int_equal(bench->service[0].sample.current_bytes, 50 * MIB);
	assert_true(bench->service[0].sample.own.limit_bytes == SAMPLE_NO_LIMIT);
	assert_true(bench->service[0].sample.can_brake);
	assert_int_equal(bench->service[0].sample.events.high, 3);
	assert_int_equal(bench->service[0].sample.stall.some_us, 200);
	assert_false(bench->service[1].sample.can_brake);
	assert_false(bench->service[1].sample.events.known);
	assert_true(bench->service[1].sample.heap.answered);
	assert_true(bench->service[1].sample.heap.credit_left_bytes == UINT64_MAX);
	assert_int_equal(sampler_usage(bench->sampler, &bench->service[0].kept, &shared), 50 * MIB);
	assert_false(shared);
	assert_int_equal(
		sampler_usage(bench->sampler, &bench->service[1].kept, &shared), 100 * MIB);
	assert_true(shared);
	assert_string_equal(sampler_wall_directory(bench->sampler), BASE);
}

static void write_leaf(const struct fake_tree *tree, const char *limit, const char *events)
{
	fake_tree_write(tree, "sys/fs/cgroup/box/web/memory.max", limit);
	fake_tree_write(tree, "sys/fs/cgroup/box/web/memory.events", events);
}

/* Of a service at rest what the kernel tells of is not read before it has told. */
static void test_at_rest_only_what_has_changed_is_read(void **state)
{
	struct bench *bench = *state;
	struct sampler_service *kept = &bench->service[0].kept;
	const struct service_sample *sample = &bench->service[0].sample;
	kept->rests = kept->tells_limit = kept->tells_events = true;
	read_all(bench, bench->sampler, 5000, 1);
	assert_int_equal(sample->events.high, 3);
	write_leaf(&bench->tree, "67108864\n", "high 4\nmax 0\noom 0\noom_kill 0\n");
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/web/memory.current", "62914560\n");
	read_all(bench, bench->sampler, 5001, 1);
	assert_int_equal(sample->current_bytes, 60 * MIB);
	assert_true(sample->own.limit_bytes == SAMPLE_NO_LIMIT);
	assert_int_equal(sample->events.high, 3);
	kept->limit_known = kept->events_known = false;
	read_all(bench, bench->sampler, 5002, 1);
	assert_int_equal(sample->own.limit_bytes, 64 * MIB);
	assert_int_equal(sample->events.high, 4);
	write_leaf(&bench->tree, "33554432\n", "high 5\nmax 0\noom 0\noom_kill 0\n");
	kept->rests = false;
	read_all(bench, bench->sampler, 5003, 1);
	assert_int_equal(sample->own.limit_bytes, 32 * MIB);
	assert_int_equal(sample->events.high, 5);
}

static void test_at_rest_the_cache_is_read_when_usage_has_changed(void **state)
{
	struct bench *bench = *state;
	struct sampler_service *kept = &bench->service[0].kept;
	const struct wall_sample *own = &bench->service[0].sample.own;
	write_leaf(&bench->tree, "67108864\n", "high 4\nmax 0\noom 0\noom_kill 0\n");
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/web/memory.stat", "inactive_file 4096\n");
	sampler_service_close(kept);
	int leaf = fake_tree_directory(&bench->tree, "sys/fs/cgroup/box/web");
	sampler_service_open(kept, leaf, NULL);
	close(leaf);
	kept->rests = true;
	read_all(bench, bench->sampler, 5000, 1);
	assert_int_equal(own->reclaimable_bytes, 4096);
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/web/memory.stat", "inactive_file 8192\n");
	read_all(bench, bench->sampler, 5001, 1);
	assert_int_equal(own->reclaimable_bytes, 4096);
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/web/memory.current", "41943040\n");
	read_all(bench, bench->sampler, 5002, 1);
	assert_int_equal(own->current_bytes, 40 * MIB);
	assert_int_equal(own->reclaimable_bytes, 8192);
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/web/memory.stat", "inactive_file 12288\n");
	read_all(bench, bench->sampler, 5002 + SAMPLER_STAT_MS, 1);
	assert_int_equal(own->reclaimable_bytes, 12288);
}

/* As if the rest of the machine were fixed: what is ours, and what is available. */
static void test_the_machine_is_the_wall_where_it_is_nearer(void **state)
{
	struct bench *bench = *state;
	struct wall_sample *shared = &bench->sample.shared;
	sampler_close(bench->sampler);
	fake_tree_write(&bench->tree, "proc/meminfo", "");
	assert_int_equal(sampler_open(bench->tree.fd, &bench->mode, BASE, &bench->sampler), 0);
	read_all(bench, bench->sampler, 0, 0);
	assert_int_equal(shared->limit_bytes, 256 * MIB);
	fake_tree_write(&bench->tree, "proc/meminfo",
		"MemTotal:  2097152 kB\nMemFree: 1024 kB\nMemAvailable:    20480 kB\n");
	read_all(bench, bench->sampler, 1, 1);
	assert_int_equal(shared->current_bytes, 100 * MIB);
	assert_int_equal(shared->limit_bytes, 120 * MIB);
	/* A share of the wall in a file is one of the limit. */
	assert_int_equal(sampler_wall_bytes(bench->sampler), 256 * MIB);
	fake_tree_write(&bench->tree, "proc/meminfo", "MemTotal: 2097152 kB\nMemAvailable: lots\n");
	read_all(bench, bench->sampler, 2, 1);
	assert_int_equal(shared->limit_bytes, 256 * MIB);
	fake_tree_write(&bench->tree, "sys/fs/cgroup/box/memory.max", "max\n");
	fake_tree_write(
		&bench->tree, "proc/meminfo", "MemTotal: 2097152 kB\nMemAvailable: 20480 kB\n");
	read_all(bench, bench->sampler, 3, 1);
	assert_int_equal(shared->limit_bytes, 120 * MIB);
}

static void test_what_the_caller_says_is_left_alone(void **state)
{
	struct bench *bench = *state;
	bench->service[0].sample.running = true;
	bench->service[0].sample.manual = LEVEL_FULL;
	read_all(bench, bench->sampler, 1, 1);
	assert_true(bench->service[0].sample.running);
	assert_int_equal(bench->service[0].sample.manual, LEVEL_FULL);
}

/* How often the file is really read shows in how old an answer may be: the total is moved on
 * before each call, so a fresh answer carries the number of its call. */
static unsigned count_stall_reads(
	struct bench *bench, const char *file, bool shared, uint64_t step_ms, uint64_t span_ms)
{
	unsigned reads = 0;
	uint64_t last = UINT64_MAX;
	for (uint64_t now_ms = 10000; now_ms < 10000 + span_ms; now_ms += step_ms) {
		write_stall(&bench->tree, file, (unsigned)now_ms);
		read_all(bench, bench->sampler, now_ms, 1);
		const struct stall_sample *stall =
			shared ? &bench->sample.shared_stall : &bench->service[0].sample.stall;
		assert_true(stall->known);
		assert_int_equal(stall->some_us, stall->read_ms);
		if (stall->read_ms != last)
			reads++;
		last = stall->read_ms;
	}
	return reads;
}

static void test_pressure_is_read_four_times_a_second_at_most(void **state)
{
	struct bench *bench = *state;
	assert_int_equal(
		count_stall_reads(bench, "sys/fs/cgroup/box/web/memory.pressure", false, 10, 10000),
		40);
	assert_int_equal(
		count_stall_reads(bench, "sys/fs/cgroup/box/memory.pressure", true, 10, 20000),
		0 + 80);
}

static void test_under_a_slow_trigger_it_is_read_once_a_second(void **state)
{
	struct bench *bench = *state;
	bench->service[0].kept.stall.slow = true;
	assert_int_equal(
		count_stall_reads(bench, "sys/fs/cgroup/box/web/memory.pressure", false, 10, 10000),
		10);
	sampler_note_trigger(bench->sampler, true);
	assert_int_equal(
		count_stall_reads(bench, "sys/fs/cgroup/box/memory.pressure", true, 100, 20000),
		20);
}

static void test_kills_are_counted_before_the_walls_are_opened(void **state)
{
	struct bench *bench = *state;
	assert_int_equal(sampler_oom_kills(bench->sampler, &bench->service[1].kept), 1);
	assert_true(sampler_wall_bytes(bench->sampler) == SAMPLE_NO_LIMIT);
	assert_string_equal(sampler_wall_directory(bench->sampler), "");
	assert_true(sampler_settle(bench->sampler));
	assert_int_equal(sampler_wall_bytes(bench->sampler), 256 * MIB);
	assert_string_equal(sampler_wall_directory(bench->sampler), BASE);
	assert_false(sampler_settle(bench->sampler));
}

static void test_usage_and_events_are_read_every_time(void **state)
{
	struct bench *bench = *state;
	for (unsigned i = 1; i <= 20; i++) {
		char text[64];
		snprintf(text, sizeof text, "%u\n", i * 4096);
		fake_tree_write(&bench->tree, "sys/fs/cgroup/box/memory.current", text);
		snprintf(text, sizeof text, "high 0\nmax %u\noom 0\noom_kill %u\n", i, i);
		fake_tree_write(&bench->tree, "sys/fs/cgroup/box/memory.events", text);
		read_all(bench, bench->sampler, 1000 + i, 1);
		assert_int_equal(bench->sample.shared.current_bytes, i * 4096);
		assert_int_equal(bench->sample.shared_events.max, i);
		assert_int_equal(sampler_oom_kills(bench->sampler, &bench->service[1].kept), i);
	}
}

static void test_a_leaf_that_is_gone_is_no_error(void **state)
{
	struct bench *bench = *state;
	sampler_service_close(&bench->service[0].kept);
	read_all(bench, bench->sampler, 1000, 1);
	assert_int_equal(bench->service[0].sample.current_bytes, 0);
	assert_false(bench->service[0].sample.can_brake);
}

static void test_the_machines_stall_counts_only_where_nothing_else_does(void **state)
{
	struct bench *bench = *state;
	struct sampler *sampler;
	struct mode mode = {.letter = MODE_D};
	write_stall(&bench->tree, "proc/pressure/memory", 999);
	assert_int_equal(sampler_open(bench->tree.fd, &mode, "", &sampler), 0);
	read_all(bench, sampler, 1000, 1);
	assert_true(bench->sample.shared.limit_bytes == SAMPLE_NO_LIMIT);
	assert_int_equal(bench->sample.shared_stall.some_us, 999);
	sampler_close(sampler);
	/* With a limit of our own the machine's troubles are not ours. */
	strcpy(mode.directory, "/v1/box");
	strcpy(mode.mount, "/v1");
	fake_tree_write(&bench->tree, "v1/box/memory.limit_in_bytes", "1000000\n");
	fake_tree_write(&bench->tree, "v1/box/memory.usage_in_bytes", "1000\n");
	assert_int_equal(sampler_open(bench->tree.fd, &mode, "/v1/box", &sampler), 0);
	read_all(bench, sampler, 1000, 1);
	assert_int_equal(bench->sample.shared.limit_bytes, 1000000);
	assert_false(bench->sample.shared_stall.known);
	sampler_close(sampler);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_sample_has_the_wall_and_the_leaf),
		TEST(test_at_rest_only_what_has_changed_is_read),
		TEST(test_at_rest_the_cache_is_read_when_usage_has_changed),
		TEST(test_the_machine_is_the_wall_where_it_is_nearer),
		TEST(test_what_the_caller_says_is_left_alone),
		TEST(test_pressure_is_read_four_times_a_second_at_most),
		TEST(test_under_a_slow_trigger_it_is_read_once_a_second),
		TEST(test_kills_are_counted_before_the_walls_are_opened),
		TEST(test_usage_and_events_are_read_every_time),
		TEST(test_a_leaf_that_is_gone_is_no_error),
		TEST(test_the_machines_stall_counts_only_where_nothing_else_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
