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
	assert_int_equal(options.log_level, LOG_LEVEL_INFO);
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
	assert_int_equal(parse("spillway copy-to /v"), 0);
	assert_int_equal(options.command, OPTIONS_COPY);
	assert_string_equal(options.file, "/v");
	assert_int_equal(parse("spillway -- copy-to /v"), 0);
	assert_int_equal(options.command, OPTIONS_WRAP);
	assert_int_equal(parse("spillway copy-to"), -EINVAL);
	assert_string_equal(problem, "copy-to: expected one folder");
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
		{"spillway --allocator=jemalloc true", "jemalloc"},
		{"spillway --name=a/b true", "a/b"},
		{"spillway --pressure-signals=USR1 true", "USR1"},
		{"spillway --pressure-signals=KILL:full true", "KILL"},
		{"spillway --scavenge=go1.14 true", "go1.14: expected adaptive"},
		{"spillway --madvise=free true", "free"},
		{"spillway --scavenge-cpu=0% true", "0%"},
		{"spillway --core-worth=1M true", "1M"},
		{"spillway --scavenge", "--scavenge"},
		{"spillway --memory-max=1G run a.ini", "--memory-max"},
		{"spillway -g run a.ini", "-g is for one"},
		{"spillway --bogus true", "--bogus: no such option;"},
		{"spillway --session=3 true", "--session=3: takes no value"},
		{"spillway -e", "-e: needs a value"},
		{"spillway -e 256 true", "256"},
		{"spillway -e x true", "-e x"},
		{"spillway -p NOPE true", "NOPE"},
		{"spillway --stop-wait soon true", "soon: expected a duration"},
		{"spillway -r 15 true", "15: expected two signals"},
		{"spillway -r 15::12 true", "15::12"},
		{"spillway -r 1:32 true", "1:32"},
		{"spillway -r herp true", "herp"},
		{"spillway --rewrite= true", "--rewrite"},
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
		parse("spillway --memory-max=64M --memory-high=50% --shim=off --allocator=auto "
		      "/bin/e+cho hi"),
		0);
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
	assert_int_equal(service->allocator, CONFIG_ALLOCATOR_AUTO);
	assert_int_equal(service->runtime, CONFIG_RUNTIME_AUTO);
	assert_false(service->runtime_limits);
	assert_int_equal(service->autorestart, CONFIG_RESTART_NEVER);
	config_free(&config);
	assert_int_equal(parse("spillway --runtime=java --runtime-limits=yes x"), 0);
	assert_int_equal(options_config(&options, &config), 0);
	assert_int_equal(config.services[0].runtime, CONFIG_RUNTIME_JAVA);
	assert_true(config.services[0].runtime_limits);
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
	assert_int_equal(parse("spillway --help-all"), 0);
	assert_int_equal(options.command, OPTIONS_HELP_ALL);
	assert_int_equal(parse("spillway --version"), 0);
	assert_int_equal(options.command, OPTIONS_VERSION);
	assert_int_equal(parse("spillway -qqqqq --name=x cmd"), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_ERROR);
}

/* What the small init programs have options for. */
static void test_options_of_other_inits(void **state)
{
	static const struct {
		const char *line;
		enum wrap_target target;
		bool stops_along;
		bool leaves_rest;
	} rows[] = {
		{"spillway true", WRAP_TO_COMMAND, false, false},
		{"spillway -s -w -e 143 -p TERM -- true", WRAP_TO_COMMAND, false, false},
		{"spillway -g true", WRAP_TO_GROUP, false, false},
		{"spillway --session true", WRAP_TO_SESSION, true, false},
		{"spillway --rewrite 15:3 true", WRAP_TO_SESSION, true, false},
		{"spillway --rewrite 15:3 -g true", WRAP_TO_GROUP, true, false},
		{"spillway --single-child true", WRAP_TO_COMMAND, true, true},
		{"spillway -r TERM:QUIT -c true", WRAP_TO_COMMAND, true, true},
		{"/sbin/tini true", WRAP_TO_COMMAND, false, false},
		{"/usr/libexec/catatonit -g true", WRAP_TO_GROUP, false, false},
		{"docker-init -- true", WRAP_TO_COMMAND, false, false},
		{"dumb-init true", WRAP_TO_SESSION, true, false},
		{"/usr/bin/dumb-init -c true", WRAP_TO_COMMAND, true, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(parse(rows[i].line), 0);
		assert_int_equal(options.command, OPTIONS_WRAP);
		assert_string_equal(options.argv[0], "true");
		assert_int_equal(options.wrap.target, rows[i].target);
		assert_int_equal(options.wrap.stops_along, rows[i].stops_along);
		assert_int_equal(options.wrap.leaves_rest, rows[i].leaves_rest);
	}
	assert_int_equal(parse("spillway -e 3 -e 255 -p SIGUSR1 -w --stop-wait=1m true"), 0);
	assert_true(options.wrap.is_success[3] && options.wrap.is_success[255]);
	assert_false(options.wrap.is_success[4]);
	assert_int_equal(options.wrap.parent_death_signal, SIGUSR1);
	assert_true(options.wrap.tells_reaped);
	assert_int_equal(options.wrap.stop_wait_ms, 60000);
	assert_int_equal(parse("spillway --stop-wait unlimited true"), 0);
	assert_int_equal(options.wrap.stop_wait_ms, WRAP_STOP_UNLIMITED);
	assert_int_equal(parse("spillway -r 1:0 -r 15:2 -r 2:15 true"), 0);
	assert_int_equal(options.wrap.sent[1], 0);
	assert_int_equal(options.wrap.sent[15], 2);
	assert_int_equal(options.wrap.sent[2], 15);
}

/* Under another's name, all words after the options are the command, and all signals are its. */
static void test_called_by_another_name(void **state)
{
	(void)state;
	assert_int_equal(parse("tini run a.ini"), 0);
	assert_int_equal(options.command, OPTIONS_WRAP);
	assert_int_equal(options.pressure_signal_count, 0);
	assert_int_equal(parse("dumb-init -v true"), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(parse("tini -v true"), 0);
	assert_int_equal(options.log_level, LOG_LEVEL_INFO);
	assert_int_equal(options_usage_status("/usr/bin/tini"), 1);
	assert_int_equal(options_usage_status("/usr/bin/spillway"), 2);
	assert_string_equal(
		options_version(OPTIONS_PEER_TINI), "tini version " SPILLWAY_VERSION "_spillway\n");
	assert_int_equal(parse("tini -l"), 0);
	assert_int_equal(options.command, OPTIONS_LICENCE);
}

static void test_variables_of_other_inits(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		enum wrap_target target;
		bool leaves_rest;
		enum log_level level;
	} rows[] = {
		{"TINI_SUBREAPER", "", WRAP_TO_COMMAND, false, LOG_LEVEL_NOTICE},
		{"TINI_KILL_PROCESS_GROUP", "", WRAP_TO_GROUP, false, LOG_LEVEL_NOTICE},
		{"TINI_VERBOSITY", "0", WRAP_TO_COMMAND, false, LOG_LEVEL_WARN},
		{"TINI_VERBOSITY", "3", WRAP_TO_COMMAND, false, LOG_LEVEL_DEBUG},
		{"TINI_VERBOSITY", "loud", WRAP_TO_COMMAND, false, LOG_LEVEL_NOTICE},
		{"DUMB_INIT_SETSID", "0", WRAP_TO_COMMAND, true, LOG_LEVEL_NOTICE},
		{"DUMB_INIT_SETSID", "1", WRAP_TO_COMMAND, false, LOG_LEVEL_NOTICE},
		{"DUMB_INIT_DEBUG", "1", WRAP_TO_COMMAND, false, LOG_LEVEL_DEBUG},
		{"CATATONIT_DEBUG", "1", WRAP_TO_COMMAND, false, LOG_LEVEL_DEBUG},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		setenv(rows[i].name, rows[i].value, 1);
		assert_int_equal(parse("spillway true"), 0);
		unsetenv(rows[i].name);
		assert_int_equal(options.wrap.target, rows[i].target);
		assert_int_equal(options.wrap.leaves_rest, rows[i].leaves_rest);
		assert_int_equal(options.log_level, rows[i].level);
	}
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
		cmocka_unit_test(test_options_of_other_inits),
		cmocka_unit_test(test_called_by_another_name),
		cmocka_unit_test(test_variables_of_other_inits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
