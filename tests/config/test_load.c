#include "tests/config/loading.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WEB "[service:web]\ncommand = x\n"
#define CHARS_48 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"

static struct config config;
static struct config_errors errors;

/* Of processors and disks. */
static void check_shares(const struct config_service *web)
{
	assert_int_equal(web->cpu_max_permille, 1500);
	assert_int_equal(web->cpu_weight, 200);
	assert_int_equal(web->io_weight, 50);
	assert_int_equal(web->io_max_count, 2);
	const struct config_io_max *disk = &web->io_max[0];
	assert_string_equal(disk->path, "/dev/sda");
	assert_int_equal(disk->most[CONFIG_IO_RBPS], 10 << 20);
	assert_int_equal(disk->most[CONFIG_IO_WIOPS], 7);
	assert_int_equal(disk->most[CONFIG_IO_WBPS] + disk->most[CONFIG_IO_RIOPS], 0);
	disk = &web->io_max[1];
	assert_null(disk->path);
	assert_int_equal(disk->major, 8);
	assert_int_equal(disk->minor, 16);
	assert_int_equal(disk->most[CONFIG_IO_WBPS], 1);
}

static void test_every_key_reaches_its_field(void **state)
{
	static const char text[] = "\xEF\xBB\xBF# a comment\r\n"
				   "[supervisor]\r\n"
				   "control = /run/other.sock\r\n"
				   "metrics = [::1]:9464\r\n"
				   "adopt = yes\r\n"
				   "pressure_signals = RTMIN+1:lazy, USR2:full 10:eager\r\n"
				   "\r\n"
				   "[service:web]\n"
				   "command = sh -c 'echo a ; echo b # c'\n"
				   "directory = /srv/www\n"
				   "user: www-data\n"
				   "environment = A=\"x, y\",B=2\n"
				   "autorestart = true\n"
				   "stopsignal = SIGQUIT\n"
				   "stopwaitsecs = 2.5\n"
				   "memory_max = 512M\n"
				   "memory_high = 80%\n"
				   "memory_min = 8M\n"
				   "memory_low = 10%\n"
				   "memory_swap_max = 0\n"
				   "memory_zswap_max = off\n"
				   "oom_group = yes\n"
				   "oom_score_adj = -17\n"
				   "pids_max = 300\n"
				   "cpu_max = 150%\n"
				   "no_new_privs = yes\n"
				   "capabilities = CAP_CHOWN, net_raw checkpoint_restore\n"
				   "cpu_weight = 200\n"
				   "io_weight = 50\n"
				   "io_max = /dev/sda rbps=10M\twiops=7 , 8:16 wbps=1\n"
				   "on_pressure = drop 'all caches'\n"
				   "on_pressure_signal = HUP\n"
				   "on_pressure_level = eager\n"
				   "memory_priority = 250\n"
				   "last_resort = restart\n"
				   "freeze = 2s\n"
				   "dry_run = yes\n"
				   "policy = swift\n"
				   "shim = off\n"
				   "allocator = keep\n"
				   "runtime = java\n"
				   "runtime_limits = yes\n"
				   "[policy:swift]\n"
				   "lazy_headroom = 64M\n"
				   "eager_headroom = 32M\n"
				   "full_headroom = 16M\n"
				   "lazy_time_to_wall = 8s\n"
				   "eager_time_to_wall = 3s\n"
				   "full_time_to_wall = off\n"
				   "lazy_pressure = some 100ms 1s\n"
				   "eager_pressure = full 5% 2s\n"
				   "full_pressure = off\n"
				   "hold = 1m\n"
				   "reserve = 1M\n"
				   "gate_wait = 0\n"
				   "brake = 2M\n"
				   "brake_hold = 250ms\n"
				   "scavenge = decay\n"
				   "madvise = dontneed\n"
				   "scavenge_cpu = 2.5%\n"
				   "core_worth = 512M";
	const struct config_policy *swift = &config.policies[1];

	(void)state;
	loading_succeeds(text, &config);
	const struct config_service *web = &config.services[0];
	assert_true(config.supervisor.adopt);
	assert_int_equal(config.supervisor.pressure_signal_count, 3);
	assert_string_equal(config.supervisor.control, "/run/other.sock");
	assert_string_equal(config.supervisor.metrics, "[::1]:9464");
	assert_int_equal(config.supervisor.pressure_signals[0].number, SIGRTMIN + 1);
	assert_int_equal(config.supervisor.pressure_signals[0].level, LEVEL_LAZY);
	assert_int_equal(config.supervisor.pressure_signals[1].number, SIGUSR2);
	assert_int_equal(config.supervisor.pressure_signals[1].level, LEVEL_FULL);
	assert_int_equal(config.supervisor.pressure_signals[2].number, SIGUSR1);
	assert_int_equal(config.supervisor.pressure_signals[2].level, LEVEL_EAGER);

	assert_int_equal(config.service_count, 1);
	assert_string_equal(web->name, "web");
	assert_string_equal(web->argv[0], "sh");
	assert_string_equal(web->argv[1], "-c");
	assert_string_equal(web->argv[2], "echo a ; echo b # c");
	assert_null(web->argv[3]);
	assert_string_equal(web->directory, "/srv/www");
	assert_string_equal(web->user, "www-data");
	assert_string_equal(web->environment[0], "A=x, y");
	assert_string_equal(web->environment[1], "B=2");
	assert_null(web->environment[2]);
	assert_int_equal(web->autorestart, CONFIG_RESTART_ALWAYS);
	assert_int_equal(web->stopsignal, SIGQUIT);
	assert_int_equal(web->stopwait_ms, 2500);
	assert_int_equal(web->memory_max.bytes, UINT64_C(512) << 20);
	assert_int_equal(web->memory_max.permille, 0);
	assert_int_equal(web->memory_high.bytes, 0);
	assert_int_equal(web->memory_high.permille, 800);
	assert_int_equal(web->memory_min.bytes, 8 << 20);
	assert_int_equal(web->memory_low.permille, 100);
	assert_true(web->memory_swap_max.set);
	assert_int_equal(web->memory_swap_max.amount.bytes, 0);
	assert_false(web->memory_zswap_max.set);
	assert_true(web->oom_group);
	assert_true(web->has_oom_score_adj);
	assert_int_equal(web->oom_score_adj, -17);
	assert_int_equal(web->pids_max, 300);
	check_shares(web);
	assert_true(web->privileges.no_new_privs && web->privileges.has_capabilities);
	assert_true(web->privileges.capabilities ==
		    (UINT64_C(1) | UINT64_C(1) << 13 | UINT64_C(1) << 40));
	assert_string_equal(web->on_pressure[0], "drop");
	assert_string_equal(web->on_pressure[1], "all caches");
	assert_null(web->on_pressure[2]);
	assert_int_equal(web->on_pressure_signal, SIGHUP);
	assert_int_equal(web->on_pressure_level, LEVEL_EAGER);
	assert_int_equal(web->memory_priority, 250);
	assert_int_equal(web->last_resort, CONFIG_LAST_RESTART);
	assert_int_equal(web->freeze_ms, 2000);
	assert_true(web->dry_run);
	assert_false(config.supervisor.dry_run);
	assert_int_equal(web->shim, CONFIG_SHIM_OFF);
	assert_int_equal(web->allocator, CONFIG_ALLOCATOR_KEEP);
	assert_int_equal(web->runtime, CONFIG_RUNTIME_JAVA);
	assert_true(web->runtime_limits);
	assert_int_equal(web->policy, 1);

	assert_int_equal(config.policy_count, 2);
	assert_string_equal(config.policies[0].name, "default");
	assert_string_equal(swift->name, "swift");
	assert_int_equal(swift->at[LEVEL_LAZY].headroom.bytes, 64 << 20);
	assert_int_equal(swift->at[LEVEL_EAGER].headroom.bytes, 32 << 20);
	assert_int_equal(swift->at[LEVEL_FULL].headroom.bytes, 16 << 20);
	assert_int_equal(swift->at[LEVEL_FULL].headroom.permille, 0);
	assert_int_equal(swift->at[LEVEL_LAZY].time_to_wall_ms, 8000);
	assert_int_equal(swift->at[LEVEL_EAGER].time_to_wall_ms, 3000);
	assert_int_equal(swift->at[LEVEL_FULL].time_to_wall_ms, 0);
	assert_int_equal(swift->at[LEVEL_LAZY].pressure.kind, CONFIG_PSI_SOME);
	assert_int_equal(swift->at[LEVEL_LAZY].pressure.permille, 100);
	assert_int_equal(swift->at[LEVEL_LAZY].pressure.window_ms, 1000);
	assert_int_equal(swift->at[LEVEL_EAGER].pressure.kind, CONFIG_PSI_FULL);
	assert_int_equal(swift->at[LEVEL_EAGER].pressure.permille, 50);
	assert_int_equal(swift->at[LEVEL_FULL].pressure.permille, 0);
	assert_int_equal(swift->hold_ms, 60000);
	assert_int_equal(swift->reserve.bytes, 1 << 20);
	assert_int_equal(swift->gate_wait_ms, 0);
	assert_int_equal(swift->brake.bytes, 2 << 20);
	assert_int_equal(swift->brake_hold_ms, 250);
	assert_int_equal(swift->scavenge, CONFIG_SCAVENGE_DECAY);
	assert_int_equal(swift->madvise, CONFIG_MADVISE_DONTNEED);
	assert_int_equal(swift->scavenge_cpu_permille, 25);
	assert_int_equal(swift->core_worth_bytes, UINT64_C(512) << 20);
	config_free(&config);
}

static void test_a_service_with_only_a_command_has_the_defaults(void **state)
{
	(void)state;
	loading_succeeds(WEB, &config);
	const struct config_service *web = &config.services[0];
	assert_null(web->directory);
	assert_null(web->user);
	assert_null(web->environment);
	assert_int_equal(web->autorestart, CONFIG_RESTART_UNEXPECTED);
	assert_int_equal(web->stopsignal, SIGTERM);
	assert_int_equal(web->stopwait_ms, 10000);
	assert_int_equal(web->memory_max.bytes + web->memory_max.permille, 0);
	assert_int_equal(web->memory_high.bytes + web->memory_high.permille, 0);
	assert_int_equal(web->memory_min.bytes + web->memory_low.bytes, 0);
	assert_false(web->memory_swap_max.set || web->memory_zswap_max.set);
	assert_false(web->oom_group || web->has_oom_score_adj);
	assert_int_equal(web->pids_max, 0);
	assert_int_equal(web->cpu_max_permille + web->cpu_weight + web->io_weight, 0);
	assert_null(web->io_max);
	assert_null(web->on_pressure);
	assert_int_equal(web->on_pressure_signal, 0);
	assert_int_equal(web->on_pressure_level, LEVEL_FULL);
	assert_int_equal(web->memory_priority, 0);
	assert_int_equal(web->last_resort, CONFIG_LAST_NONE);
	assert_int_equal(web->freeze_ms, 0);
	assert_false(web->dry_run);
	assert_int_equal(web->shim, CONFIG_SHIM_AUTO);
	assert_int_equal(web->allocator, CONFIG_ALLOCATOR_SPILLWAY);
	assert_int_equal(web->runtime, CONFIG_RUNTIME_AUTO);
	assert_false(web->runtime_limits);
	assert_int_equal(web->policy, 0);
	assert_int_equal(config.policy_count, 1);
	assert_int_equal(config.supervisor.pressure_signal_count, 2);
	config_free(&config);
}

static void test_a_dry_run_of_all_is_that_of_services_that_do_not_say(void **state)
{
	static const char text[] = "[service:x]\ncommand = x\n"
				   "[service:y]\ncommand = y\ndry_run = no\n"
				   "[supervisor]\ndry_run = yes\npressure_signals = off\n";

	(void)state;
	loading_succeeds(text, &config);
	assert_true(config.supervisor.dry_run);
	assert_int_equal(config.supervisor.pressure_signal_count, 0);
	assert_true(config.services[0].dry_run);
	assert_false(config.services[1].dry_run);
	config_free(&config);
}

static void test_only_the_default_policy_follows_its_section(void **state)
{
	static const char text[] = "[policy:a]\nhold = 9s\n"
				   "[service:x]\ncommand = x\n"
				   "[policy:default]\nhold = 7s\nbrake = off\n"
				   "[service:y]\ncommand = y\npolicy = b\n"
				   "[service:z]\ncommand = z\npolicy = default\n"
				   "[policy:b]\n";

	(void)state;
	loading_succeeds(text, &config);
	assert_int_equal(config.policy_count, 3);
	assert_string_equal(config.policies[0].name, "default");
	assert_int_equal(config.policies[0].hold_ms, 7000);
	assert_int_equal(config.policies[0].brake.permille, 0);
	assert_string_equal(config.policies[1].name, "a");
	assert_int_equal(config.policies[1].hold_ms, 9000);
	assert_int_equal(config.policies[1].brake.permille, 60);
	assert_string_equal(config.policies[2].name, "b");
	assert_int_equal(config.policies[2].hold_ms, 5000);
	assert_int_equal(config.policies[2].brake.permille, 60);
	/* The order of the file is the order of starting. */
	assert_int_equal(config.service_count, 3);
	assert_string_equal(config.services[0].name, "x");
	assert_int_equal(config.services[0].policy, 0);
	assert_string_equal(config.services[1].name, "y");
	assert_int_equal(config.services[1].policy, 2);
	assert_string_equal(config.services[2].name, "z");
	assert_int_equal(config.services[2].policy, 0);
	config_free(&config);
}

static void test_a_file_may_say_nothing_at_all(void **state)
{
	static const char *const texts[] = {"", "\n", "# nothing", "\xEF\xBB\xBF", "[supervisor]",
		"[supervisor]\npressure_signals = USR1:eager USR2:full\n[policy:default]\n"};
	static struct config defaults;

	(void)state;
	config_defaults(&defaults);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		loading_succeeds(texts[i], &config);
		assert_int_equal(config.service_count, 0);
		assert_int_equal(config.policy_count, 1);
		assert_string_equal(config.policies[0].name, "default");
		assert_true(config_policy_equal(&config.policies[0], &defaults.policies[0]));
		assert_memory_equal(
			&config.supervisor, &defaults.supervisor, sizeof config.supervisor);
		config_free(&config);
	}
}

static void test_autorestart_has_three_values(void **state)
{
	static const struct {
		const char *text;
		enum config_autorestart autorestart;
	} rows[] = {
		{WEB "autorestart = false", CONFIG_RESTART_NEVER},
		{WEB "autorestart = no", CONFIG_RESTART_NEVER},
		{WEB "autorestart = unexpected", CONFIG_RESTART_UNEXPECTED},
		{WEB "autorestart = yes", CONFIG_RESTART_ALWAYS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		loading_succeeds(rows[i].text, &config);
		assert_int_equal(config.services[0].autorestart, rows[i].autorestart);
		config_free(&config);
	}
}

static void test_every_way_to_scavenge_has_its_name(void **state)
{
	static const struct {
		const char *text;
		enum config_scavenge scavenge;
	} rows[] = {
		{"[policy:default]\nscavenge = adaptive", CONFIG_SCAVENGE_ADAPTIVE},
		{"[policy:default]\nscavenge = off", CONFIG_SCAVENGE_OFF},
		{"[policy:default]\nscavenge = go1.11", CONFIG_SCAVENGE_GO1_11},
		{"[policy:default]\nscavenge = go1.12", CONFIG_SCAVENGE_GO1_12},
		{"[policy:default]\nscavenge = go1.13", CONFIG_SCAVENGE_GO1_13},
		{"[policy:default]\nscavenge = decay", CONFIG_SCAVENGE_DECAY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		loading_succeeds(rows[i].text, &config);
		assert_int_equal(config.policies[0].scavenge, rows[i].scavenge);
		config_free(&config);
	}
}

static void test_scavenging_may_cost_the_least_and_the_most(void **state)
{
	const struct config_policy *policy = &config.policies[0];

	(void)state;
	loading_succeeds(
		"[policy:default]\nmadvise = auto\nscavenge_cpu = 0.1%\ncore_worth = 16M\n",
		&config);
	assert_int_equal(policy->madvise, CONFIG_MADVISE_AUTO);
	assert_int_equal(policy->scavenge_cpu_permille, 1);
	assert_int_equal(policy->core_worth_bytes, UINT64_C(16) << 20);
	config_free(&config);
	loading_succeeds("[policy:default]\nscavenge_cpu = 100%\ncore_worth = 1T\n", &config);
	assert_int_equal(policy->scavenge_cpu_permille, 1000);
	assert_int_equal(policy->core_worth_bytes, UINT64_C(1) << 40);
	config_free(&config);
}

static void test_pressure_signals_can_be_none(void **state)
{
	(void)state;
	loading_succeeds("[supervisor]\npressure_signals = off\n", &config);
	assert_int_equal(config.supervisor.pressure_signal_count, 0);
	config_free(&config);
}

static void test_names_of_48_characters_are_told_apart_to_the_last(void **state)
{
	(void)state;
	loading_succeeds("[service:" CHARS_48 "]\ncommand = a\n"
			 "[service:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUX]\n"
			 "command = b\n",
		&config);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.services[0].name, CHARS_48);
	assert_string_equal(config.services[1].argv[0], "b");
	config_free(&config);
}

static void test_a_command_of_8_kib_arrives_whole(void **state)
{
	enum { LINE = 8192 };
	static const char before[] = "[service:a]\ncommand = ";
	static const char after[] = "\nuser = nobody\n";
	static char text[sizeof before + LINE + sizeof after];
	const size_t word = LINE - sizeof "command = " + 1;
	char *at = text;

	(void)state;
	memcpy(at, before, sizeof before - 1);
	at += sizeof before - 1;
	memset(at, 'x', word);
	at[word - 1] = 'y';
	memcpy(at + word, after, sizeof after);
	loading_succeeds(text, &config);
	assert_int_equal(strlen(config.services[0].argv[0]), word);
	assert_int_equal(config.services[0].argv[0][word - 1], 'y');
	assert_string_equal(config.services[0].user, "nobody");
	config_free(&config);

	/* One byte more is an error there, and the lines behind keep their numbers. */
	at[word] = 'z';
	memcpy(at + word + 1, "\nuser = a b\n", 13);
	loading_fails(&(struct loading_row){
		text, {{1, "[service:a] has no command: expected command = PROGRAM ARGUMENTS"},
			      {2, "the line is too long: expected at most 8192 bytes"},
			      {3, "user: \"a b\": not understood: expected the name of one user, "
				  "its number, or UID:GID"}}});
}

static void test_there_is_room_for_any_services_and_so_many_policies(void **state)
{
	enum { SERVICES = 5000 };
	static char text[(SERVICES + CONFIG_POLICIES_MAX + 1) * 64];
	size_t length = 0;

	(void)state;
	for (int i = 0; i < SERVICES; i++)
		length += (size_t)snprintf(
			text + length, sizeof text - length, "[service:s%d]\ncommand = x\n", i);
	for (int i = 1; i < CONFIG_POLICIES_MAX; i++)
		length +=
			(size_t)snprintf(text + length, sizeof text - length, "[policy:p%d]\n", i);
	loading_succeeds(text, &config);
	assert_int_equal(config.service_count, SERVICES);
	assert_string_equal(config.services[SERVICES - 1].name, "s4999");
	assert_int_equal(config.policy_count, CONFIG_POLICIES_MAX);
	config_free(&config);
	snprintf(text + length, sizeof text - length, "[policy:more]\n");
	loading_fails(&(struct loading_row){
		text, {{10064, "[policy:more]: too many sections: expected at most 64 of that "
			       "kind"}}});
}

static void test_files_are_read_whole(void **state)
{
	char path[] = "/tmp/spillway-config-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, WEB, sizeof WEB - 1), sizeof WEB - 1);
	assert_int_equal(config_load(path, &config, &errors), 0);
	assert_string_equal(config.services[0].name, "web");
	config_free(&config);

	assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
	assert_int_equal(config_load(path, &config, &errors), -EFBIG);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.error[0].text,
		"cannot read it: File too large: expected a readable file of at most 1 MiB");
	close(fd);
	unlink(path);
}

static void test_what_is_no_readable_file_says_why(void **state)
{
	(void)state;
	errors.count = 7;
	assert_int_equal(config_load("/nonexistent/x.ini", &config, &errors), -ENOENT);
	assert_int_equal(errors.count, 1);
	assert_int_equal(errors.error[0].line, 0);
	assert_string_equal(errors.error[0].text, "cannot read it: No such file or directory: "
						  "expected a readable file of at most 1 MiB");
	assert_int_equal(config_load("/", &config, &errors), -EISDIR);
	assert_int_equal(errors.count, 1);
}

/* A FIFO that nobody writes to would be waited for, as would a terminal. */
static void test_what_could_be_waited_for_is_refused(void **state)
{
	char folder[] = "/tmp/spillway-config-XXXXXX";
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_load(path, &config, &errors), -ENOTSUP);
	assert_string_equal(errors.error[0].text, "cannot read it: Not a regular file: "
						  "expected a readable file of at most 1 MiB");
	assert_int_equal(config_load("/dev/zero", &config, &errors), -ENOTSUP);
	assert_int_equal(config_load("/dev/null", &config, &errors), -ENOTSUP);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key_reaches_its_field),
		cmocka_unit_test(test_a_service_with_only_a_command_has_the_defaults),
		cmocka_unit_test(test_a_dry_run_of_all_is_that_of_services_that_do_not_say),
		cmocka_unit_test(test_only_the_default_policy_follows_its_section),
		cmocka_unit_test(test_a_file_may_say_nothing_at_all),
		cmocka_unit_test(test_autorestart_has_three_values),
		cmocka_unit_test(test_every_way_to_scavenge_has_its_name),
		cmocka_unit_test(test_scavenging_may_cost_the_least_and_the_most),
		cmocka_unit_test(test_pressure_signals_can_be_none),
		cmocka_unit_test(test_names_of_48_characters_are_told_apart_to_the_last),
		cmocka_unit_test(test_a_command_of_8_kib_arrives_whole),
		cmocka_unit_test(test_there_is_room_for_any_services_and_so_many_policies),
		cmocka_unit_test(test_files_are_read_whole),
		cmocka_unit_test(test_what_is_no_readable_file_says_why),
		cmocka_unit_test(test_what_could_be_waited_for_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
