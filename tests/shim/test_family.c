#include "shim/family.h"

#include "shim/futex.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define WALL 77U
#define OTHER_WALL 78U
#define NOW_NS UINT64_C(1000000000000)
#define NEED_NS (FAMILY_NEED_MS * UINT64_C(1000000))

/* Runs it in a forked child and waits for its end. */
static void in_child(void (*run)(void))
{
	int status = -1;
	pid_t child;

	family_fork_prepare();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void need_megabyte(void)
{
	family_need_set(WALL, 1 << 20, NOW_NS);
}

static void need_and_stop(void)
{
	family_need_set(WALL, 1 << 20, NOW_NS);
	family_need_set(WALL, 0, NOW_NS);
}

static void wake_all(void)
{
	family_wake(WALL);
}

static void test_without_a_fork_there_is_no_page(void **state)
{
	(void)state;
	assert_null(family_word());
	family_need_set(WALL, 1, NOW_NS);
	family_wake(WALL);
	assert_int_equal(family_needs(WALL, NOW_NS), 0);
}

static void test_a_need_is_seen_by_the_others_below_that_wall(void **state)
{
	(void)state;
	in_child(need_megabyte);
	assert_int_equal(family_needs(WALL, NOW_NS), 1 << 20);
	assert_int_equal(family_needs(OTHER_WALL, NOW_NS), 0);
	in_child(need_megabyte);
	assert_int_equal(family_needs(WALL, NOW_NS), 2 << 20);
}

static void test_the_own_need_is_not_one_of_the_others(void **state)
{
	uint64_t before = family_needs(WALL, NOW_NS);
	(void)state;
	family_fork_prepare();
	family_need_set(WALL, 5, NOW_NS);
	assert_int_equal(family_needs(WALL, NOW_NS), before);
	family_need_set(WALL, 0, NOW_NS);
}

static void test_a_need_ends_by_word_or_by_time(void **state)
{
	uint64_t before = family_needs(WALL, NOW_NS);
	(void)state;
	in_child(need_and_stop);
	assert_int_equal(family_needs(WALL, NOW_NS), before);
	in_child(need_megabyte);
	assert_true(family_needs(WALL, NOW_NS + NEED_NS - 1) >= 1 << 20);
	assert_int_equal(family_needs(WALL, NOW_NS + NEED_NS), 0);
	/* One that says it would stay for ever. */
	assert_int_equal(family_needs(WALL, NOW_NS - 1), 0);
}

static void test_a_call_is_counted_for_its_wall_alone(void **state)
{
	uint32_t calls = family_calls(WALL);
	uint32_t others = family_calls(OTHER_WALL);
	(void)state;
	in_child(wake_all);
	assert_int_equal(family_calls(WALL), calls + 1);
	assert_int_equal(family_calls(OTHER_WALL), others);
}

/* It would sleep for ever otherwise: no time is given. */
static void test_a_sleeper_is_woken_by_another_process(void **state)
{
	int status = -1;
	_Atomic uint32_t *word;
	uint32_t heard;
	pid_t child;
	(void)state;
	family_fork_prepare();
	word = family_word();
	assert_non_null(word);
	heard = atomic_load(word);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		while (atomic_load(word) == heard)
			futex_wait(word, heard, family_bits_wall(WALL), UINT64_MAX);
		_exit(0);
	}
	in_child(wake_all);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_fork_there_is_no_page),
		cmocka_unit_test(test_a_need_is_seen_by_the_others_below_that_wall),
		cmocka_unit_test(test_the_own_need_is_not_one_of_the_others),
		cmocka_unit_test(test_a_need_ends_by_word_or_by_time),
		cmocka_unit_test(test_a_call_is_counted_for_its_wall_alone),
		cmocka_unit_test(test_a_sleeper_is_woken_by_another_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
