#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/options.h"

#define MAX_WORDS 12

static struct options options;
static char problem[OPTIONS_ERROR_BYTES];

/* One line of words; no quoting. */
static int parse(const char *line)
{
	static char copy[512];
	static char *words[MAX_WORDS + 1];
	int count = 0;
	char *rest = copy;
	strncpy(copy, line, sizeof copy - 1);
	while (count < MAX_WORDS && (words[count] = strsep(&rest, " ")) != NULL)
		count++;
	words[count] = NULL;
	problem[0] = '\0';
	return options_parse(count, words, &options, problem);
}

static void test_the_command_starts_at_the_first_word_that_is_no_option(void **state)
{
	(void)state;
	assert_int_equal(parse("spillway -v cmd -v --help"), 0);
	assert_int_equal(options.command, OPTIONS_WRAP);
	assert_int_equal(options.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(options.argv[0], "cmd");
	assert_string_equal(options.argv[1], "-v");
	assert_string_equal(options.argv[2], "--help");
	assert_null(options.argv[3]);
}

static void test_two_dashes_end_the_options(void **state)
{
	(void)state;
	assert_int_equal(parse("spillway -- -v"), 0);
	assert_string_equal(options.argv[0], "-v");
	assert_int_equal(parse("spillway -- -- true"), 0);
	assert_string_equal(options.argv[0], "--");
}

static void test_run_and_check_take_one_file(void **state)
{
	(void)state;
	assert_int_equal(parse("spillway -q run a.ini"), 0);
	assert_int_equal(options.command, OPTIONS_RUN);
	assert_string_equal(options.file, "a.ini");
	assert_int_equal(options.log_level, LOG_LEVEL_WARN);
	assert_int_equal(parse("spillway check a.ini"), 0);
	assert_int_equal(options.command, OPTIONS_CHECK);
	assert_int_equal(parse("spillway run"), -EINVAL);
	assert_int_equal(parse("spillway run a b"), -EINVAL);
}

static void test_run_behind_two_dashes_is_a_program(void **state)
{
	(void)state;
	assert_int_equal(parse("spillway -- run a.ini"), 0);
	assert_int_equal(options.command, OPTIONS_WRAP);
	assert_string_equal(options.argv[0], "run");
}

static void test_help_is_given_wherever_it_is_asked_for(void **state)
{
	(void)state;
	static const char *const lines[] = {"spillway -h", "spillway --help", "spillway help",
		"spillway run --help", "spillway check -h", "spillway help run"};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		assert_int_equal(parse(lines[i]), 0);
		assert_int_equal(options.command, OPTIONS_HELP);
	}
	assert_int_equal(parse("spillway -V"), 0);
	assert_int_equal(options.command, OPTIONS_VERSION);
	assert_int_equal(parse("spillway -- help"), 0);
	assert_int_equal(options.command, OPTIONS_WRAP);
}

static void test_a_file_without_run_is_no_program(void **state)
{
	char path[] = "/tmp/spillway-options-XXXXXX.ini";
	char line[128];
	int fd = mkstemps(path, 4);
	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(line, sizeof line, "spillway %s", path);
	assert_int_equal(parse(line), -EINVAL);
	assert_non_null(strstr(problem, "expected spillway run /tmp"));
	snprintf(line, sizeof line, "spillway -- %s", path);
	assert_int_equal(parse(line), 0);
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(line, sizeof line, "spillway %s", path);
	assert_int_equal(parse(line), 0);
	unlink(path);
}

static void test_usage_errors_name_the_word(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		const char *word;
	} rows[] = {
		{"spillway", "command"},
		{"spillway --", "command"},
		{"spillway -z true", "-z"},
		{"spillway -vz true", "-z"},
		{"spillway --nonsense true", "--nonsense"},
		{"spillway --verbose=3 true", "--verbose=3"},
		{"spillway --memory-max", "--memory-max"},
		{"spillway --memory-max=lots true", "lots"},
		{"spillway --memory-max=101% true", "101%"},
		{"spillway --shim=maybe true", "maybe"},
		{"spillway --name=a/b true", "a/b"},
		{"spillway --pressure-signals=USR1 true", "USR1"},
		{"spillway --pressure-signals=KILL:full true", "KILL"},
		{"spillway --scavenge=go1.14 true", "go1.14: expected adaptive"},
		{"spillway --madvise=free true", "free"},
		{"spillway --scavenge-cpu=0% true", "0%"},
		{"spillway --core-worth=1M true", "1M"},
		{"spillway --scavenge", "--scavenge"},
		{"spillway --memory-max=1G run a.ini", "--memory-max"},
		{"spillway --shim off check a.ini", "--shim"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(parse(rows[i].line), -EINVAL);
		assert_non_null(strstr(problem, rows[i].word));
		assert_null(strchr(problem, '\n'));
	}
}

static void test_wrap_leaves_usr1_and_usr2_to_the_service(void **state)
{
	(void)state;
	struct config config;
	assert_int_equal(parse("spillway true"), 0);
	assert_int_equal(options_config(&options, &config), 0);
	assert_int_equal(config.supervisor.pressure_signal_count, 3);
	assert_int_equal(config.supervisor.pressure_signals[0].number, SIGRTMIN + 1);
	assert_int_equal(config.supervisor.pressure_signals[0].level, LEVEL_LAZY);
	assert_int_equal(config.supervisor.pressure_signals[2].number, SIGRTMIN + 3);
	assert_int_equal(config.supervisor.pressure_signals[2].level, LEVEL_FULL);
	config_free(&config);
}

static void test_wrap_makes_one_service_of_the_options(void **state)
{
	(void)state;
	struct config config;
	assert_int_equal(
		parse("spillway --memory-max=64M --memory-high=50% --shim=off /bin/e+cho hi"), 0);
	assert_int_equal(options_config(&options, &config), 0);
	assert_int_equal(config.service_count, 1);
	const struct config_service *service = &config.services[0];
	assert_string_equal(service->name, "e_cho");
	assert_string_equal(service->argv[0], "/bin/e+cho");
	assert_string_equal(service->argv[1], "hi");
	assert_null(service->argv[2]);
	assert_int_equal(service->memory_max.bytes, 64 << 20);
	assert_int_equal(service->memory_high.permille, 500);
	assert_int_equal(service->shim, CONFIG_SHIM_OFF);
	assert_int_equal(service->autorestart, CONFIG_RESTART_NEVER);
	config_free(&config);
	assert_int_equal(parse("spillway --name=web --pressure-signals=off x"), 0);
	assert_int_equal(options_config(&options, &config), 0);
	assert_string_equal(config.services[0].name, "web");
	assert_int_equal(config.supervisor.pressure_signal_count, 0);
	config_free(&config);
}

static void test_wrap_scavenges_as_the_options_say(void **state)
{
	(void)state;
	struct config config;
	struct config defaults;
	config_defaults(&defaults);
	assert_int_equal(parse("spillway true"), 0);
	assert_int_equal(options_config(&options, &config), 0);
	assert_true(config_policy_equal(&config.policies[0], &defaults.policies[0]));
	assert_string_equal(config.policies[0].name, "default");
	config_free(&config);
	assert_int_equal(parse("spillway --scavenge=go1.13 --madvise=dontneed --scavenge-cpu=0.5% "
			       "--core-worth 512M true"),
		0);
	assert_int_equal(options_config(&options, &config), 0);
	const struct config_policy *policy = &config.policies[config.services[0].policy];
	assert_int_equal(policy->scavenge, CONFIG_SCAVENGE_GO1_13);
	assert_int_equal(policy->madvise, CONFIG_MADVISE_DONTNEED);
	assert_int_equal(policy->scavenge_cpu_permille, 5);
	assert_int_equal(policy->core_worth_bytes, 512 << 20);
	assert_int_equal(policy->hold_ms, defaults.policies[0].hold_ms);
	config_free(&config);
}

static void test_help_and_version_need_no_command(void **state)
{
	(void)state;
	assert_int_equal(parse("spillway --help"), 0);
	assert_int_equal(options.command, OPTIONS_HELP);
	assert_int_equal(parse("spillway --version"), 0);
	assert_int_equal(options.command, OPTIONS_VERSION);
	assert_int_equal(parse("spillway -qqqqq --name=x cmd"), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_command_starts_at_the_first_word_that_is_no_option),
		cmocka_unit_test(test_two_dashes_end_the_options),
		cmocka_unit_test(test_run_and_check_take_one_file),
		cmocka_unit_test(test_run_behind_two_dashes_is_a_program),
		cmocka_unit_test(test_help_is_given_wherever_it_is_asked_for),
		cmocka_unit_test(test_a_file_without_run_is_no_program),
		cmocka_unit_test(test_usage_errors_name_the_word),
		cmocka_unit_test(test_wrap_leaves_usr1_and_usr2_to_the_service),
		cmocka_unit_test(test_wrap_makes_one_service_of_the_options),
		cmocka_unit_test(test_wrap_scavenges_as_the_options_say),
		cmocka_unit_test(test_help_and_version_need_no_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
