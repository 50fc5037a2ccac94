#include "supervisor/base/chore.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/patience.h"

/* Work that lasts until somebody writes to its pipe, and that counts. */
struct data {
	int pipe[2];
	int done;
	atomic_int *dropped;
};

static void work(void *data)
{
	struct data *own = data;
	char byte;
	if (read(own->pipe[0], &byte, 1) == 1)
		own->done++;
}

static void drop(void *data)
{
	struct data *own = data;
	atomic_fetch_add(own->dropped, 1);
	close(own->pipe[0]);
	free(own);
}

static const struct chore_kind kind = {work, drop};

static struct chore *open_chore(atomic_int *dropped, int *end)
{
	struct chore *chore;
	struct data *data = calloc(1, sizeof *data);
	assert_non_null(data);
	assert_int_equal(pipe(data->pipe), 0);
	data->dropped = dropped;
	*end = data->pipe[1];
	assert_int_equal(chore_open(&kind, data, &chore), 0);
	return chore;
}

static void let(int end)
{
	assert_int_equal(write(end, "", 1), 1);
}

static void test_work_is_done_and_waited_for(void **state)
{
	atomic_int dropped = 0;
	int end;
	(void)state;
	struct chore *chore = open_chore(&dropped, &end);
	struct data *data = chore_data(chore);
	for (int i = 1; i <= 3; i++) {
		assert_true(chore_is_idle(chore));
		let(end);
		assert_int_equal(chore_start(chore, 60000), 0);
		assert_int_equal(data->done, i);
	}
	chore_close(chore);
	assert_true(WAIT_UNTIL(10, dropped == 1));
	close(end);
}

static void test_work_that_hangs_holds_up_nobody(void **state)
{
	atomic_int dropped = 0;
	int end;
	(void)state;
	struct chore *chore = open_chore(&dropped, &end);
	struct data *data = chore_data(chore);
	assert_int_equal(chore_start(chore, 10), -EINPROGRESS);
	assert_false(chore_is_idle(chore));
	assert_int_equal(chore_start(chore, 60000), -EINPROGRESS);
	let(end);
	assert_true(WAIT_UNTIL(10, chore_is_idle(chore)));
	assert_int_equal(data->done, 1);
	chore_close(chore);
	assert_true(WAIT_UNTIL(10, dropped == 1));
	close(end);
}

static void test_its_data_goes_when_nobody_needs_it(void **state)
{
	atomic_int dropped = 0;
	int end;
	(void)state;
	struct chore *chore = open_chore(&dropped, &end);
	chore_close(chore);
	assert_int_equal(dropped, 1);
	close(end);
	chore = open_chore(&dropped, &end);
	assert_int_equal(chore_start(chore, 0), -EINPROGRESS);
	chore_close(chore);
	assert_int_equal(dropped, 1);
	let(end);
	assert_true(WAIT_UNTIL(10, dropped == 2));
	close(end);
	chore_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work_is_done_and_waited_for),
		cmocka_unit_test(test_work_that_hangs_holds_up_nobody),
		cmocka_unit_test(test_its_data_goes_when_nobody_needs_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
