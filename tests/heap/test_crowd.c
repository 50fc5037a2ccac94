#include "tests/support/heap_crowd.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void live(struct heap_crowd crowd)
{
	const char *wrong = heap_crowd_live(&crowd);

	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static void test_blocks_go_from_thread_to_thread_in_any_weather(void **state)
{
	(void)state;
	live((struct heap_crowd){.seed = random_run_seed() + 3,
		.seats = 3,
		.thieves = 2,
		.rounds = 4,
		.operations = 6000});
}

static void test_a_crowd_that_forks_leaves_nothing(void **state)
{
	(void)state;
	live((struct heap_crowd){.seed = random_run_seed() + 4,
		.seats = 4,
		.thieves = 1,
		.rounds = 2,
		.operations = 6000,
		.forks = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_go_from_thread_to_thread_in_any_weather),
		cmocka_unit_test(test_a_crowd_that_forks_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
