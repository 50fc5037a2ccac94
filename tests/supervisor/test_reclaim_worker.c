#include "supervisor/cgroup/reclaim_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/base/clock.h"
#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"

#define MIB (UINT64_C(1) << 20)
#define HOUR_MS 3600000U

struct yard {
	struct fake_tree tree;
	struct reclaim_worker *worker;
	int web;
};

static int setup(void **state)
{
	static struct yard yard;
	fake_tree_open(&yard.tree);
	fake_tree_write(&yard.tree, "web/memory.reclaim", "");
	fake_tree_write(&yard.tree, "web/memory.current", "104857600\n");
	yard.web = fake_tree_directory(&yard.tree, "web");
	assert_int_equal(reclaim_worker_open(&yard.worker), 0);
	*state = &yard;
	return 0;
}

static int teardown(void **state)
{
	struct yard *yard = *state;
	reclaim_worker_close(yard->worker);
	close(yard->web);
	fake_tree_close(&yard->tree);
	return 0;
}

static struct reclaim_result result_of(struct yard *yard)
{
	struct reclaim_result result = {.error = 1};
	assert_true(WAIT_UNTIL(10, reclaim_worker_take(yard->worker, &result)));
	return result;
}

static void test_what_is_asked_for_is_written_in_pieces(void **state)
{
	struct yard *yard = *state;
	char text[32] = "";
	assert_int_equal(
		reclaim_worker_start(yard->worker, yard->web, 9 * MIB, clock_now_ms() + HOUR_MS),
		0);
	struct reclaim_result result = result_of(yard);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.before_bytes, 100 * MIB);
	assert_int_equal(result.after_bytes, 100 * MIB);
	/* Two pieces of four, and the rest. */
	int fd = openat(yard->web, "memory.reclaim", O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	assert_string_equal(text, "1048576\n");
	/* A result is told once. */
	assert_false(reclaim_worker_take(yard->worker, &result));
}

static void test_one_is_under_way_at_a_time(void **state)
{
	struct yard *yard = *state;
	uint64_t far_ms = clock_now_ms() + HOUR_MS;
	assert_int_equal(reclaim_worker_start(yard->worker, yard->web, MIB, far_ms), 0);
	assert_int_equal(reclaim_worker_start(yard->worker, yard->web, MIB, far_ms), -EBUSY);
	result_of(yard);
	assert_int_equal(reclaim_worker_start(yard->worker, yard->web, MIB, far_ms), 0);
	/* And closing does not need its result. */
}

static void test_no_piece_is_begun_after_the_deadline(void **state)
{
	struct yard *yard = *state;
	char text[32] = "";
	assert_int_equal(reclaim_worker_start(yard->worker, yard->web, MIB, clock_now_ms() - 1), 0);
	assert_int_equal(result_of(yard).error, -ETIMEDOUT);
	int fd = openat(yard->web, "memory.reclaim", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof text - 1), 0);
	close(fd);
}

static void test_a_kernel_without_it_says_so_at_once(void **state)
{
	struct yard *yard = *state;
	assert_int_equal(unlinkat(yard->web, "memory.reclaim", 0), 0);
	assert_int_equal(
		reclaim_worker_start(yard->worker, yard->web, MIB, clock_now_ms() + HOUR_MS),
		-ENOENT);
	/* And it may be asked for another cgroup. */
	fake_tree_write(&yard->tree, "web/memory.reclaim", "");
	assert_int_equal(
		reclaim_worker_start(yard->worker, yard->web, MIB, clock_now_ms() + HOUR_MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_is_asked_for_is_written_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_is_under_way_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_no_piece_is_begun_after_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_kernel_without_it_says_so_at_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
