#include "supervisor/cgroup/brake_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"

/* No deadline of a test comes before its end, unless it is meant to. */
#define HOUR_MS 3600000U

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool says(const struct fake_tree *tree, const char *path, const char *wanted)
{
	char text[64] = "";
	int fd = openat(tree->fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	text[length > 0 ? (size_t)length : 0] = '\0';
	/* A plain file keeps what a longer text left behind the newline. */
	return strncmp(text, wanted, strlen(wanted)) == 0 && text[strlen(wanted)] == '\n';
}

/* The worker writes when it comes to it, so this waits until the file says so. */
static bool becomes(const struct fake_tree *tree, const char *path, const char *wanted)
{
	return WAIT_UNTIL(10, says(tree, path, wanted));
}

struct yard {
	struct fake_tree tree;
	struct brake_worker *worker;
	int web;
	int db;
};

static int setup(void **state)
{
	static struct yard yard;
	fake_tree_open(&yard.tree);
	fake_tree_write(&yard.tree, "web/memory.high", "max\n");
	fake_tree_write(&yard.tree, "db/memory.high", "max\n");
	yard.web = fake_tree_directory(&yard.tree, "web");
	yard.db = fake_tree_directory(&yard.tree, "db");
	assert_int_equal(brake_worker_open(&yard.worker), 0);
	for (size_t i = 0; i < 2; i++) {
		size_t slot;
		assert_int_equal(brake_worker_add(yard.worker, &slot), 0);
		assert_int_equal(slot, i);
	}
	*state = &yard;
	return 0;
}

static int teardown(void **state)
{
	struct yard *yard = *state;
	brake_worker_close(yard->worker);
	close(yard->web);
	close(yard->db);
	fake_tree_close(&yard->tree);
	return 0;
}

static void test_a_brake_goes_on_and_off(void **state)
{
	struct yard *yard = *state;
	uint64_t far_ms = clock_ms() + HOUR_MS;
	assert_int_equal(
		brake_worker_set(yard->worker, 0, yard->web, 1048576, UINT64_MAX, far_ms), 0);
	assert_int_equal(brake_worker_set(yard->worker, 1, yard->db, 2097152, 4194304, far_ms), 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "1048576"));
	assert_true(becomes(&yard->tree, "db/memory.high", "2097152"));
	assert_true(brake_worker_is_on(yard->worker, 0));
	brake_worker_lift(yard->worker, 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "max"));
	assert_false(brake_worker_is_on(yard->worker, 0));
	assert_true(brake_worker_is_on(yard->worker, 1));
	assert_int_equal(brake_worker_expired_count(yard->worker, 0), 0);
	brake_worker_lift(yard->worker, 1);
	assert_true(becomes(&yard->tree, "db/memory.high", "4194304"));
}

static void test_the_deadline_lifts_without_anybody_calling(void **state)
{
	struct yard *yard = *state;
	assert_int_equal(
		brake_worker_set(yard->worker, 0, yard->web, 4096, 8192, clock_ms() + 50), 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "8192"));
	assert_false(brake_worker_is_on(yard->worker, 0));
	assert_int_equal(brake_worker_expired_count(yard->worker, 0), 1);
}

static void test_closing_lifts_every_brake(void **state)
{
	struct yard *yard = *state;
	uint64_t far_ms = clock_ms() + HOUR_MS;
	brake_worker_set(yard->worker, 0, yard->web, 4096, UINT64_MAX, far_ms);
	brake_worker_set(yard->worker, 1, yard->db, 4096, UINT64_MAX, far_ms);
	brake_worker_close(yard->worker);
	yard->worker = NULL;
	assert_true(becomes(&yard->tree, "web/memory.high", "max"));
	assert_true(becomes(&yard->tree, "db/memory.high", "max"));
}

static void test_forgetting_lifts_before_it_returns(void **state)
{
	struct yard *yard = *state;
	char text[5] = "";
	brake_worker_set(yard->worker, 0, yard->web, 4096, UINT64_MAX, clock_ms() + HOUR_MS);
	brake_worker_forget(yard->worker, 0);
	int fd = openat(yard->web, "memory.high", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, 4), 4);
	close(fd);
	assert_string_equal(text, "max\n");
	/* And the slot can be used for another leaf. */
	assert_int_equal(
		brake_worker_set(yard->worker, 0, yard->db, 4096, UINT64_MAX, clock_ms() + HOUR_MS),
		0);
	assert_true(becomes(&yard->tree, "db/memory.high", "4096"));
}

static void test_there_is_a_slot_for_every_service(void **state)
{
	struct yard *yard = *state;
	size_t slot = 0;
	while (slot < 500)
		assert_int_equal(brake_worker_add(yard->worker, &slot), 0);
	brake_worker_set(yard->worker, 0, yard->db, 8192, UINT64_MAX, clock_ms() + HOUR_MS);
	brake_worker_set(yard->worker, slot, yard->web, 4096, UINT64_MAX, clock_ms() + HOUR_MS);
	assert_true(becomes(&yard->tree, "web/memory.high", "4096"));
	brake_worker_forget(yard->worker, slot);
	assert_true(becomes(&yard->tree, "web/memory.high", "max"));
	assert_true(brake_worker_is_on(yard->worker, 0));
	/* The one that was given back is the next. */
	assert_int_equal(brake_worker_add(yard->worker, &slot), 0);
	assert_int_equal(slot, 500);
}

/* As a reload has it while the brake is on. */
static void test_a_new_normal_value_is_what_the_brake_leaves(void **state)
{
	struct yard *yard = *state;
	brake_worker_set(yard->worker, 0, yard->web, 4096, UINT64_MAX, clock_ms() + HOUR_MS);
	assert_true(becomes(&yard->tree, "web/memory.high", "4096"));
	assert_int_equal(brake_worker_normal(yard->worker, 0, yard->web, 123456), 0);
	assert_true(brake_worker_is_on(yard->worker, 0));
	brake_worker_lift(yard->worker, 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "123456"));
	/* And of one that is off it is written at once. */
	assert_int_equal(brake_worker_normal(yard->worker, 0, yard->web, 234567), 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "234567"));
}

/* Of one that was never braked too; and a brake that comes meanwhile is not undone. */
static void test_a_normal_value_is_written_without_a_brake(void **state)
{
	struct yard *yard = *state;
	assert_int_equal(brake_worker_normal(yard->worker, 1, yard->db, 345678), 0);
	assert_true(becomes(&yard->tree, "db/memory.high", "345678"));
	for (uint64_t i = 1; i <= 50; i++) {
		assert_int_equal(brake_worker_normal(yard->worker, 0, yard->web, 1000000 + i), 0);
		assert_int_equal(brake_worker_set(yard->worker, 0, yard->web, 4000 + i, 1000000 + i,
					 clock_ms() + HOUR_MS),
			0);
		brake_worker_forget(yard->worker, 0);
	}
	char text[32];
	snprintf(text, sizeof text, "%u", 1000050U);
	assert_true(says(&yard->tree, "web/memory.high", text));
	assert_int_equal(brake_worker_normal(yard->worker, 0, yard->web, 2000000), 0);
	brake_worker_set(yard->worker, 0, yard->web, 3000000, 2000000, clock_ms() + HOUR_MS);
	assert_true(becomes(&yard->tree, "web/memory.high", "3000000"));
	brake_worker_lift(yard->worker, 0);
	assert_true(becomes(&yard->tree, "web/memory.high", "2000000"));
}

static void test_a_refused_write_is_told_of_once(void **state)
{
	struct yard *yard = *state;
	int error = 0;
	assert_int_equal(symlinkat("/dev/full", yard->web, "memory.max"), 0);
	assert_int_equal(brake_worker_error(yard->worker, 0), 0);
	assert_int_equal(brake_worker_limit(yard->worker, 0, yard->web, 4096), 0);
	assert_true(WAIT_UNTIL(10, (error = brake_worker_error(yard->worker, 0)) != 0));
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(brake_worker_error(yard->worker, 0), 0);
	assert_int_equal(unlinkat(yard->web, "memory.max", 0), 0);
	assert_int_equal(brake_worker_limit(yard->worker, 0, yard->web, 4096), -ENOENT);
}

/* A guard that was killed is replaced by the next brake, and knows of the ones before. */
static void test_a_killed_guard_is_replaced(void **state)
{
	struct yard *yard = *state;
	brake_worker_set(yard->worker, 0, yard->web, 4096, UINT64_MAX, clock_ms() + HOUR_MS);
	brake_worker_end_guard(yard->worker);
	assert_true(becomes(&yard->tree, "web/memory.high", "max"));
	brake_worker_set(yard->worker, 0, yard->web, 4096, UINT64_MAX, clock_ms() + HOUR_MS);
	assert_true(becomes(&yard->tree, "web/memory.high", "4096"));
	assert_true(brake_worker_is_on(yard->worker, 0));
}

static void test_a_leaf_without_the_file_is_refused(void **state)
{
	struct yard *yard = *state;
	unlinkat(yard->web, "memory.high", 0);
	assert_true(brake_worker_set(yard->worker, 0, yard->web, 1, 2, clock_ms() + 1000) < 0);
	assert_false(brake_worker_is_on(yard->worker, 0));
	brake_worker_lift(yard->worker, 0);
	brake_worker_forget(yard->worker, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_what_is_frozen_is_thawed_by_hand_by_deadline_and_at_the_end(void **state)
{
	struct yard *yard = *state;
	const uint64_t far_ms = clock_ms() + HOUR_MS;
	fake_tree_write(&yard->tree, "web/cgroup.freeze", "0\n");
	fake_tree_write(&yard->tree, "db/cgroup.freeze", "0\n");
	assert_int_equal(brake_worker_freeze(yard->worker, 0, yard->web, far_ms), 0);
	assert_true(becomes(&yard->tree, "web/cgroup.freeze", "1"));
	brake_worker_lift(yard->worker, 0);
	assert_true(becomes(&yard->tree, "web/cgroup.freeze", "0"));
	assert_true(says(&yard->tree, "web/memory.high", "max"));
	assert_int_equal(brake_worker_freeze(yard->worker, 0, yard->web, clock_ms() + 50), 0);
	assert_true(WAIT_UNTIL(10, brake_worker_expired_count(yard->worker, 0) == 1));
	assert_true(becomes(&yard->tree, "web/cgroup.freeze", "0"));
	assert_int_equal(brake_worker_freeze(yard->worker, 1, yard->db, far_ms), 0);
	assert_true(becomes(&yard->tree, "db/cgroup.freeze", "1"));
	brake_worker_close(yard->worker);
	yard->worker = NULL;
	assert_true(says(&yard->tree, "db/cgroup.freeze", "0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_brake_goes_on_and_off),
		TEST(test_the_deadline_lifts_without_anybody_calling),
		TEST(test_closing_lifts_every_brake),
		TEST(test_forgetting_lifts_before_it_returns),
		TEST(test_there_is_a_slot_for_every_service),
		TEST(test_a_new_normal_value_is_what_the_brake_leaves),
		TEST(test_a_normal_value_is_written_without_a_brake),
		TEST(test_a_refused_write_is_told_of_once),
		TEST(test_a_killed_guard_is_replaced),
		TEST(test_a_leaf_without_the_file_is_refused),
		TEST(test_what_is_frozen_is_thawed_by_hand_by_deadline_and_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
