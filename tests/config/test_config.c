#include "tests/config/loading.h"

#include <signal.h>
#include <stdlib.h>

static struct config a;
static struct config b;

static void test_defaults_are_what_wrap_mode_starts_from(void **state)
{
	const struct config_policy *policy = &a.policies[0];

	(void)state;
	memset(&a, 0xA5, sizeof a);
	config_defaults(&a);
	assert_int_equal(a.service_count, 0);
	assert_int_equal(a.policy_count, 1);
	assert_string_equal(policy->name, "default");
	assert_int_equal(policy->at[LEVEL_LAZY].headroom.permille, 250);
	assert_int_equal(policy->at[LEVEL_EAGER].headroom.permille, 150);
	assert_int_equal(policy->at[LEVEL_FULL].headroom.permille, 80);
	assert_int_equal(policy->at[LEVEL_LAZY].time_to_wall_ms, 10000);
	assert_int_equal(policy->at[LEVEL_EAGER].time_to_wall_ms, 4000);
	assert_int_equal(policy->at[LEVEL_FULL].time_to_wall_ms, 1000);
	assert_int_equal(policy->at[LEVEL_FULL].pressure.kind, CONFIG_PSI_FULL);
	assert_int_equal(policy->hold_ms, 5000);
	assert_int_equal(policy->reserve.permille, 40);
	assert_int_equal(policy->gate_wait_ms, 200);
	assert_int_equal(policy->brake.permille, 60);
	assert_int_equal(policy->brake_hold_ms, 3000);
	assert_int_equal(policy->scavenge, CONFIG_SCAVENGE_ADAPTIVE);
	assert_int_equal(policy->madvise, CONFIG_MADVISE_AUTO);
	assert_int_equal(policy->scavenge_cpu_permille, 10);
	assert_int_equal(policy->core_worth_bytes, UINT64_C(1) << 30);
	assert_int_equal(a.supervisor.pressure_signal_count, 2);
	assert_int_equal(a.supervisor.pressure_signals[0].number, SIGUSR1);
	assert_int_equal(a.supervisor.pressure_signals[0].level, LEVEL_EAGER);
	assert_int_equal(a.supervisor.pressure_signals[1].number, SIGUSR2);
	assert_int_equal(a.supervisor.pressure_signals[1].level, LEVEL_FULL);
	config_free(&a);
	assert_int_equal(a.policy_count, 0);
}

static void test_freeing_twice_frees_once(void **state)
{
	(void)state;
	loading_succeeds(
		"[service:a]\ncommand = x y\ndirectory = /\nuser = u\nenvironment = A=1\n", &a);
	config_free(&a);
	assert_int_equal(a.service_count, 0);
	config_free(&a);
}

/* Loads both texts and says whether the first services, or the second policies, are equal. */
static bool services_equal(const char *left, const char *right)
{
	bool equal;

	loading_succeeds(left, &a);
	loading_succeeds(right, &b);
	equal = config_service_equal(&a.services[0], &b.services[0]);
	assert_int_equal(config_service_equal(&b.services[0], &a.services[0]), equal);
	config_free(&a);
	config_free(&b);
	return equal;
}

static bool policies_equal(const char *left, const char *right)
{
	bool equal;

	loading_succeeds(left, &a);
	loading_succeeds(right, &b);
	equal = config_policy_equal(&a.policies[1], &b.policies[1]);
	assert_int_equal(config_policy_equal(&b.policies[1], &a.policies[1]), equal);
	config_free(&a);
	config_free(&b);
	return equal;
}

#define WEB "[service:web]\ncommand = x y\n"

static void test_every_setting_of_a_service_counts_for_reload(void **state)
{
	static const char *const changes[] = {
		"[service:wed]\ncommand = x y\n",
		"[service:web]\ncommand = x\n",
		"[service:web]\ncommand = x y z\n",
		"[service:web]\ncommand = x z\n",
		WEB "directory = /\n",
		WEB "user = u\n",
		WEB "environment = A=1\n",
		WEB "autorestart = true\n",
		WEB "autostart = false\n",
		WEB "exitcodes = 0,1\n",
		WEB "startsecs = 1\n",
		WEB "startretries = 3\n",
		WEB "priority = 1\n",
		WEB "on_exit = shutdown\n",
		WEB "stopasgroup = true\n",
		WEB "umask = 000\n",
		WEB "redirect_stderr = true\n",
		WEB "stdout_logfile = /x\n",
		WEB "stdout_logfile_maxbytes = 1\n",
		WEB "stderr_logfile = NONE\n",
		WEB "stderr_logfile_backups = 1\n",
		"[program:web]\ncommand = x y\n",
		WEB "stopsignal = INT\n",
		WEB "stopwaitsecs = 11\n",
		WEB "memory_max = 1G\n",
		WEB "memory_max = 50%\n",
		WEB "memory_high = 1G\n",
		WEB "memory_min = 1M\n",
		WEB "memory_low = 1M\n",
		WEB "memory_swap_max = 0\n",
		WEB "memory_swap_max = 10%\n",
		WEB "memory_zswap_max = 0\n",
		WEB "oom_group = yes\n",
		WEB "oom_score_adj = 0\n",
		WEB "oom_score_adj = -1\n",
		WEB "pids_max = 9\n",
		WEB "no_new_privs = yes\n",
		WEB "capabilities = none\n",
		WEB "capabilities = KILL\n",
		WEB "cpu_max = 1\n",
		WEB "cpu_max = 50%\n",
		WEB "cpu_weight = 50\n",
		WEB "io_weight = 50\n",
		WEB "io_max = /a rbps=1\n",
		WEB "io_max = /b rbps=1\n",
		WEB "io_max = 8:0 rbps=1\n",
		WEB "io_max = 8:1 rbps=1\n",
		WEB "io_max = 8:1 wbps=1\n",
		WEB "io_max = 8:1 wbps=1, 8:0 rbps=1\n",
		WEB "on_pressure = a\n",
		WEB "on_pressure = a b\n",
		WEB "on_pressure_signal = USR1\n",
		WEB "on_pressure_level = lazy\n",
		WEB "memory_priority = 7\n",
		WEB "last_resort = stop\n",
		WEB "freeze = yes\n",
		WEB "dry_run = yes\n",
		WEB "[supervisor]\ndry_run = yes\n",
		WEB "shim = off\n",
		WEB "allocator = auto\n",
		WEB "runtime = java\n",
		WEB "runtime_limits = yes\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		if (services_equal(WEB, changes[i]))
			fail_msg("not noticed: %s", changes[i]);
		if (!services_equal(changes[i], changes[i]))
			fail_msg("not equal to itself: %s", changes[i]);
	}
	assert_false(services_equal(WEB "environment = A=1\n", WEB "environment = A=2\n"));
	assert_false(services_equal(WEB "user = u\n", WEB "user = v\n"));
}

static void test_how_it_is_written_does_not_count_for_reload(void **state)
{
	(void)state;
	assert_true(services_equal(WEB, "# moved\n[service:web]\ncommand:  'x'  \"y\"\n"));
	assert_true(services_equal(WEB "memory_max = 1G\nstopwaitsecs = 10\n",
		WEB "stopsignal = 15\nstopwaitsecs = 10000ms\nmemory_max = 1024MiB\n"));
	/* The index of its policy means something only within one config. */
	assert_true(services_equal(
		WEB "policy = p\n[policy:p]\n", "[policy:q]\n[policy:p]\n" WEB "policy = p\n"));
}

static void test_every_setting_of_a_policy_counts_for_reload(void **state)
{
	static const char *const changes[] = {
		"lazy_headroom = 26%",
		"eager_headroom = 16%",
		"full_headroom = 9%",
		"full_headroom = 80",
		"lazy_time_to_wall = 11s",
		"eager_time_to_wall = 5s",
		"full_time_to_wall = 2s",
		"lazy_pressure = some 6% 2s",
		"lazy_pressure = some 5% 1s",
		"eager_pressure = full 5% 2s",
		"full_pressure = off",
		"hold = 6s",
		"reserve = 5%",
		"gate_wait = 201ms",
		"brake = off",
		"brake_hold = 4s",
		"scavenge = off",
		"madvise = dontneed",
		"scavenge_cpu = 1.1%",
		"core_worth = 2049M",
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		snprintf(text, sizeof text, "[policy:p]\n%s\n", changes[i]);
		if (policies_equal("[policy:p]\n", text))
			fail_msg("not noticed: %s", changes[i]);
	}
	assert_true(policies_equal("[policy:p]\n", "[policy:q]\n"));
}

static void print_to(const struct config_errors *errors, char *text, size_t text_bytes)
{
	FILE *stream = fmemopen(text, text_bytes, "w");

	assert_non_null(stream);
	text[0] = '\0';
	config_errors_print("a.ini", errors, stream);
	fclose(stream);
}

static void test_errors_print_as_file_line_text(void **state)
{
	static struct config_errors errors;
	static char text[16384];

	(void)state;
	errors.count = 2;
	errors.error[0] = (struct config_error){.text = "cannot read it"};
	errors.error[1] = (struct config_error){.line = 12, .text = "no"};
	print_to(&errors, text, sizeof text);
	assert_string_equal(text, "a.ini: cannot read it\na.ini:12: no\n");

	errors.count = 0;
	print_to(&errors, text, sizeof text);
	assert_string_equal(text, "");

	for (size_t i = 0; i < CONFIG_ERRORS_MAX; i++)
		errors.error[i] = (struct config_error){.line = (unsigned)i + 1, .text = "no"};
	errors.count = CONFIG_ERRORS_MAX + 3;
	print_to(&errors, text, sizeof text);
	assert_non_null(strstr(text, "\na.ini:32: no\na.ini: and 3 more\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_what_wrap_mode_starts_from),
		cmocka_unit_test(test_freeing_twice_frees_once),
		cmocka_unit_test(test_every_setting_of_a_service_counts_for_reload),
		cmocka_unit_test(test_how_it_is_written_does_not_count_for_reload),
		cmocka_unit_test(test_every_setting_of_a_policy_counts_for_reload),
		cmocka_unit_test(test_errors_print_as_file_line_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
