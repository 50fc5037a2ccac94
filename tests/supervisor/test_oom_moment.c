#include "supervisor/tick/oom_moment.h"

#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static struct policy_service web;
static struct policy_service db;
static struct policy_service *list[] = {&web, &db};
static struct policy_state policy = {.service = list, .service_count = 2};
static struct sample sample;

/* web is at its own wall of 96 MiB, both are far from the one of 1 GiB that they share. */
static int begin(void **state)
{
	(void)state;
	web = (struct policy_service){
		.sample = {.running = true,
			.own = {.limit_bytes = 96 * MIB,
				.current_bytes = 95 * MIB,
				.reclaimable_known = true,
				.reclaimable_bytes = 3 * MIB},
			.heap = {.in_use_bytes = 60 * MIB,
				.idle_dirty_bytes = 4 * MIB,
				.lazy_bytes = 1 * MIB}},
		.turn = {.own = {.bytes_per_s = 40 * MIB}},
	};
	db = (struct policy_service){
		.sample = {.running = true,
			.own = {.limit_bytes = SAMPLE_NO_LIMIT},
			.heap = {.in_use_bytes = 300 * MIB}},
		.turn = {.own = {.bytes_per_s = 50 * MIB}},
	};
	sample = (struct sample){.shared = {.limit_bytes = 1024 * MIB,
					 .current_bytes = 500 * MIB,
					 .reclaimable_known = true}};
	return 0;
}

static void expect(
	const struct oom_moment *moment, const char *fastest, uint64_t now_ms, const char *expected)
{
	char text[OOM_MOMENT_TEXT];
	oom_moment_format(moment, fastest, now_ms, text);
	assert_string_equal(text, expected);
}

static void test_a_kill_at_its_own_wall(void **state)
{
	(void)state;
	struct oom_moment moment = oom_moment_own(&web, &sample, 1000);
	assert_true(moment.known);
	expect(&moment, NULL, 1010,
		": used 95M of 96M (live 60M, idle 4M, lazy 1M, caches 2M, other 28M), growing by "
		"40M/s");
	expect(&moment, NULL, 1900,
		": used 95M of 96M (live 60M, idle 4M, lazy 1M, caches 2M, other 28M), growing by "
		"40M/s; 900 ms before");
}

static void test_a_kill_at_the_wall_that_all_share(void **state)
{
	(void)state;
	assert_false(oom_moment_own(&db, &sample, 1000).known);
	struct oom_moment moment = oom_moment_shared(&policy, &sample, 1000);
	assert_int_equal(moment.fastest, 1);
	expect(&moment, "db", 1000,
		": used 500M of 1G that all share (live 360M, idle 4M, lazy 1M, caches 0, other "
		"135M), db growing by 50M/s");
	/* Nearer than web's own. */
	sample.shared.limit_bytes = 500 * MIB;
	assert_false(oom_moment_own(&web, &sample, 1000).known);
	db.sample.running = false;
	assert_int_equal(oom_moment_shared(&policy, &sample, 1000).fastest, 0);
}

static void test_what_is_not_known_is_not_said(void **state)
{
	(void)state;
	struct oom_moment moment = {0};
	expect(&moment, NULL, 1000, "");
	web.sample.own.reclaimable_known = false;
	web.sample.own.current_bytes = 10 * MIB;
	web.turn.own.bytes_per_s = 0;
	moment = oom_moment_own(&web, &sample, 1000);
	expect(&moment, NULL, 1000,
		": used 10M of 96M (live 60M, idle 4M, lazy 1M, caches 0, other 0)");
}

/* The widest numbers there are. */
static void test_the_text_fits(void **state)
{
	char name[CONFIG_NAME_BYTES];
	char text[OOM_MOMENT_TEXT];
	struct oom_moment moment;
	(void)state;
	memset(&moment, 0xe7, sizeof moment);
	moment.known = true;
	moment.is_shared = true;
	moment.at_ms = 0;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	oom_moment_format(&moment, name, UINT64_MAX, text);
	assert_true(strlen(text) < sizeof text);
	assert_non_null(strstr(text, "ms before"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_kill_at_its_own_wall, begin),
		cmocka_unit_test_setup(test_a_kill_at_the_wall_that_all_share, begin),
		cmocka_unit_test_setup(test_what_is_not_known_is_not_said, begin),
		cmocka_unit_test_setup(test_the_text_fits, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
