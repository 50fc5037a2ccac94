#include "tests/config/loading.h"

#include <signal.h>

#define WEB "[service:web]\ncommand = x\n"
#define CHARS_48 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
#define SECTIONS "[supervisor], [service:NAME] or [policy:NAME]"
#define DISKS \
	"expected disks and their limits such as \"/dev/sda wbps=10M, 8:16 riops=100\", or off"
#define PROCESSORS "expected processors such as 1.5, a share of one such as 50% or 150%, or off"
#define AMOUNT "expected a size such as 64M, a share such as 12.5%, or off"
#define DURATION "expected a duration such as 250ms, 2s or 1m (a bare number is seconds)"
#define DURATION_OFF "expected a duration such as 250ms, 2s or 1m, or off"
#define PSI "expected a threshold such as \"some 5% 2s\" or \"full 200ms 2s\", or off"
#define SIGNALS "expected a list of SIGNAL:LEVEL such as USR1:eager USR2:full, or off"
#define ALL_OF_A_POLICY \
	"lazy_headroom, eager_headroom, full_headroom, lazy_time_to_wall, " \
	"eager_time_to_wall, full_time_to_wall, lazy_pressure, eager_pressure, " \
	"full_pressure, hold, reserve, gate_wait, brake, brake_hold, scavenge, madvise, " \
	"scavenge_cpu, core_worth"
#define CPU "expected a share of one CPU from 0.1% to 100%"
#define WORTH "expected a size from 16M to 1T"
#define COMMAND "expected a program and its arguments, quoted as for a shell"

static struct config config;
static struct config_errors errors;

static void test_unknown_sections_get_a_suggestion(void **state)
{
	static const struct loading_row rows[] = {
		{"[services:web]\n",
			{{1, "unknown section \"services:web\": did you mean [service:NAME]?"}}},
		{"\n[supervisors]\n",
			{{2, "unknown section \"supervisors\": did you mean [supervisor]?"}}},
		{"[Policy:x]\n",
			{{1, "unknown section \"Policy:x\": did you mean [policy:NAME]?"}}},
		{"[]\n", {{1, "unknown section \"\": expected " SECTIONS}}},
		{"[listener:x]\n", {{1, "unknown section \"listener:x\": expected " SECTIONS}}},
		{"[service]\n", {{1, "section \"service\": expected [service:NAME]"}}},
		{"[policy]\n", {{1, "section \"policy\": expected [policy:NAME]"}}},
		{"[supervisor:x]\n", {{1, "section \"supervisor:x\": expected [supervisor]"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_keys_of_a_refused_section_are_not_held_against_it(void **state)
{
	static const struct loading_row rows[] = {
		{"[servise:web]\ncommand = x\nfoo = 1\nno equals sign\n",
			{{1, "unknown section \"servise:web\": did you mean [service:NAME]?"},
				{4, "a line without =: expected KEY = VALUE"}}},
		{"[service:a]\ncommand = x\n[service:b\ncommand = y\n",
			{{3, "a section without its ]: expected [KIND:NAME]"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_unknown_keys_get_a_suggestion(void **state)
{
	static const struct loading_row rows[] = {
		{WEB "memory_hihg = 1M\n",
			{{3, "unknown key \"memory_hihg\" in [service:NAME]: did you mean "
			     "memory_high?"}}},
		{WEB "Directory = /\n",
			{{3, "unknown key \"Directory\" in [service:NAME]: did you mean "
			     "directory?"}}},
		{WEB "hold = 5s\n", {{3, "unknown key \"hold\" in [service:NAME]: expected in "
					 "[policy:NAME]"}}},
		{"[supervisor]\nuser = x\n",
			{{2, "unknown key \"user\" in [supervisor]: expected in "
			     "[service:NAME]"}}},
		{WEB "forward_stderr = true\n",
			{{3, "unknown key \"forward_stderr\" in [service:NAME]: expected command, "
			     "directory, user, environment, autostart, autorestart, exitcodes, "
			     "startsecs, startretries, type, pre_start, post_stop, "
			     "environment_file, pidfile, notify, start_timeout, watchdog, health, "
			     "health_interval, health_timeout, health_retries, health_start, "
			     "on_exit, priority, after, requires, "
			     "stopsignal, stopasgroup, "
			     "stopwaitsecs, umask, no_new_privs, capabilities, redirect_stderr, "
			     "stdout_logfile, "
			     "stdout_logfile_maxbytes, stdout_logfile_backups, stderr_logfile, "
			     "stderr_logfile_maxbytes, stderr_logfile_backups, "
			     "memory_max, memory_high, target_file, memory_min, memory_low, "
			     "memory_swap_max, "
			     "memory_zswap_max, oom_group, oom_score_adj, pids_max, "
			     "cpu_max, cpu_weight, io_weight, io_max, on_pressure, "
			     "on_pressure_signal, on_pressure_level, "
			     "memory_priority, last_resort, freeze, dry_run, policy, shim, "
			     "allocator, runtime, runtime_limits"}}},
		{"[policy:p]\neager_presure = off\n",
			{{2, "unknown key \"eager_presure\" in [policy:NAME]: did you mean "
			     "eager_pressure?"}}},
		{"[policy:p]\nx = off\n",
			{{2, "unknown key \"x\" in [policy:NAME]: expected " ALL_OF_A_POLICY}}},
		/* As long as a key may be, and the list is whole. */
		{"[policy:p]\n" CHARS_48 " = off\n",
			{{2, "unknown key \"" CHARS_48
			     "\" in [policy:NAME]: expected " ALL_OF_A_POLICY}}},
		{"[supervisor]\n" CHARS_48 " = 1\n",
			{{2, "unknown key \"" CHARS_48 "\" in [supervisor]: expected "
			     "pressure_signals, control, metrics, adopt, dry_run"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_what_stands_twice_names_the_first(void **state)
{
	static const struct loading_row rows[] = {
		{WEB "user = a\nuser = b\n",
			{{4, "user stands twice: expected once, the first one is on line 3"}}},
		{WEB "[policy:p]\n[service:web]\ncommand = y\n[policy:p]\n",
			{{4, "[service:web] stands twice: expected once, the first one is on line "
			     "1"},
				{6, "[policy:p] stands twice: expected once, the first one is on "
				    "line 3"}}},
		{"[supervisor]\n[supervisor]\n",
			{{2, "[supervisor] stands twice: expected once, the first one is on line "
			     "1"}}},
		{"[policy:default]\n[policy:default]\n",
			{{2, "[policy:default] stands twice: expected once, the first one is on "
			     "line 1"}}},
		{"[supervisor]\npressure_signals = off\npressure_signals = off\n",
			{{3, "pressure_signals stands twice: expected once, the first one is on "
			     "line 2"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_an_address_is_made_of_numbers(void **state)
{
#define METRICS_EXPECTED \
	": not understood: expected an address and a port such as 127.0.0.1:9464, or off"
	static const struct loading_row rows[] = {
		{"[supervisor]\nmetrics = localhost:9464\n",
			{{2, "metrics: \"localhost:9464\"" METRICS_EXPECTED}}},
		{"[supervisor]\nmetrics = 9464\n", {{2, "metrics: \"9464\"" METRICS_EXPECTED}}},
		{"[supervisor]\nmetrics = ::1:9464\n",
			{{2, "metrics: \"::1:9464\"" METRICS_EXPECTED}}},
		{"[supervisor]\nmetrics = [::1]:0\n",
			{{2, "metrics: \"[::1]:0\"" METRICS_EXPECTED}}},
		{"[supervisor]\nmetrics = 127.0.0.1:65536\n",
			{{2, "metrics: \"127.0.0.1:65536\"" METRICS_EXPECTED}}},
		{"[supervisor]\nmetrics = []:1\n", {{2, "metrics: \"[]:1\"" METRICS_EXPECTED}}},
	};
#undef METRICS_EXPECTED

	(void)state;
	loading_all_fail(rows);
}

static void test_a_service_needs_a_command(void **state)
{
	static const struct loading_row rows[] = {
		{"[service:a]\n[service:b]\nuser = x\n",
			{{1, "[service:a] has no command: expected command = PROGRAM ARGUMENTS"},
				{2, "[service:b] has no command: expected command = PROGRAM "
				    "ARGUMENTS"}}},
		{"[service:a]\ncommand =\n", {{2, "command: \"\": no program to run: " COMMAND}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_a_policy_that_is_not_there_gets_a_suggestion(void **state)
{
	static const struct loading_row rows[] = {
		{WEB "policy = latancy\n[policy:latency]\n",
			{{3, "policy: there is no [policy:latancy]: did you mean latency?"}}},
		{WEB "policy = defualt\n",
			{{3, "policy: there is no [policy:defualt]: did you mean default?"}}},
		{WEB "policy = swift\n",
			{{3, "policy: there is no [policy:swift]: expected the NAME of a "
			     "[policy:NAME] of this file, or default"}}},
		{WEB "policy = a b\n",
			{{3, "policy: \"a b\": not understood: expected the NAME of a "
			     "[policy:NAME] of this file, or default"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_names_are_checked(void **state)
{
	static const struct loading_row rows[] = {
		{"[service:]\n",
			{{1, "\"\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service:a b]\n",
			{{1, "\"a b\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service: a]\n",
			{{1, "\" a\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service:a:b]\n",
			{{1, "\"a:b\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[policy:..]\n",
			{{1, "\"..\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service:" CHARS_48 "W]\n",
			{{1, "\"" CHARS_48
			     "W\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service:" CHARS_48 CHARS_48 "]\n",
			{{1, "the section's name is too long: expected at most 48 characters"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_lines_that_an_ini_parser_would_bend_are_refused(void **state)
{
	static const struct loading_row rows[] = {
		{"command = x\n[supervisor]\n",
			{{1, "a key before the first section: expected " SECTIONS}}},
		{WEB "environment = A=1,\n    B=2\n",
			{{4, "an indented line: expected a key in the first column, and every "
			     "value on one line"}}},
		{"[service:a\n", {{1, "a section without its ]: expected [KIND:NAME]"}}},
		{"[supervisor] ; x\n",
			{{1, "text after the ]: expected [KIND:NAME] alone, a comment needs a line "
			     "of its own"}}},
		{WEB "just words\n", {{3, "a line without =: expected KEY = VALUE"}}},
		{WEB "= x\n", {{3, "no key before the =: expected KEY = VALUE"}}},
		{WEB CHARS_48 "x = 1\n",
			{{3, "the key is too long: expected at most 48 characters"}}},
		{WEB "user = \x1b[31m\n", {{3, "a control character in the line: expected text"}}},
		{WEB "command = a ; b\n[service:b]\ncommand = a ; b\n",
			{{3, "command stands twice: expected once, the first one is on line 2"},
				{5, "command: \"a ; b\": a word that starts with one of ; # | & < "
				    "> and is not quoted (no shell reads this, and a comment needs "
				    "a line of its own): " COMMAND}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_values_of_the_wrong_kind_say_what_was_expected(void **state)
{
	static const struct loading_row rows[] = {
		{WEB "directory = srv\n",
			{{3, "directory: \"srv\": not understood: expected an absolute path"}}},
		{WEB "user = a b\n",
			{{3, "user: \"a b\": not understood: expected the name of one user, "
			     "its number, or UID:GID"}}},
		{WEB "user =\n", {{3, "user: \"\": not understood: expected the name of one user, "
				      "its number, or UID:GID"}}},
		{WEB "user = 12:\n",
			{{3, "user: \"12:\": not understood: expected the name of one user, "
			     "its number, or UID:GID"}}},
		{WEB "user = www-data:33\n", {{3, "user: \"www-data:33\": not understood: expected "
						  "the name of one user, "
						  "its number, or UID:GID"}}},
		{WEB "environment = A\n",
			{{3, "environment: \"A\": a name without = behind it: expected a list such "
			     "as KEY=\"value\",OTHER=value"}}},
		{WEB "autorestart = sometimes\n",
			{{3, "autorestart: \"sometimes\": not understood: expected true, false or "
			     "unexpected"}}},
		{WEB "stopsignal = TREM\n",
			{{3, "stopsignal: \"TREM\": not understood: expected a signal such as "
			     "TERM, SIGINT, 15 or RTMIN+3"}}},
		{WEB "stopsignal = 99\n",
			{{3, "stopsignal: \"99\": out of range: expected a signal such as TERM, "
			     "SIGINT, 15 or RTMIN+3"}}},
		{WEB "stopwaitsecs = soon\n",
			{{3, "stopwaitsecs: \"soon\": not understood: " DURATION}}},
		{WEB "stopwaitsecs = off\n",
			{{3, "stopwaitsecs: \"off\": not understood: " DURATION}}},
		{WEB "stopwaitsecs = 50d\nmemory_max = 64MX\n",
			{{3, "stopwaitsecs: \"50d\": not understood: " DURATION},
				{4, "memory_max: \"64MX\": not understood: " AMOUNT}}},
		{WEB "memory_max = 101%\n", {{3, "memory_max: \"101%\": out of range: " AMOUNT}}},
		{WEB "memory_max = 0\n", {{3, "memory_max: \"0\": a limit of nothing: " AMOUNT}}},
		{WEB "memory_high = 0%\n",
			{{3, "memory_high: \"0%\": a limit of nothing: " AMOUNT}}},
		{WEB "memory_max = 64M ; at most\n",
			{{3, "memory_max: \"64M ; at most\": not understood: " AMOUNT
			     " (a comment needs a line of its own)"}}},
		{WEB "memory_swap_max = lots\n",
			{{3, "memory_swap_max: \"lots\": not understood: " AMOUNT}}},
		{WEB "on_pressure_signal = never\n", {{3, "on_pressure_signal: \"never\": not "
							  "understood: expected a signal such as "
							  "USR1, SIGHUP or RTMIN+3, or off"}}},
		{WEB "on_pressure_level = calm\n",
			{{3, "on_pressure_level: \"calm\": not understood: expected lazy, eager or "
			     "full"}}},
		{WEB "freeze = 61s\n",
			{{3, "freeze: \"61s\": not understood: expected yes, no, or a duration of "
			     "at most 1m such as 500ms"}}},
		{WEB "oom_group = all\n",
			{{3, "oom_group: \"all\": not understood: expected yes or no"}}},
		{WEB "oom_score_adj = 1001\n", {{3, "oom_score_adj: \"1001\": out of range: "
						    "expected a number from -1000 to "
						    "1000"}}},
		{WEB "oom_score_adj = off\n", {{3, "oom_score_adj: \"off\": not understood: "
						   "expected a number from -1000 to "
						   "1000"}}},
		{WEB "pids_max = 0\n", {{3, "pids_max: \"0\": out of range: expected a number from "
					    "1 to 4194304, or "
					    "off"}}},
		{WEB "io_max = sda rbps=1\n",
			{{3, "io_max: \"sda rbps=1\": not understood: " DISKS}}},
		{WEB "io_max = 8:16\n", {{3, "io_max: \"8:16\": not understood: " DISKS}}},
		{WEB "io_max = /dev/sda ,\n",
			{{3, "io_max: \"/dev/sda ,\": not understood: " DISKS}}},
		{WEB "io_max = 8:16 rbps\n",
			{{3, "io_max: \"8:16 rbps\": not understood: " DISKS}}},
		{WEB "io_max = 8:16 rbps=1 rbps=2\n",
			{{3, "io_max: \"8:16 rbps=1 rbps=2\": not understood: " DISKS}}},
		{WEB "io_max = 8:16 bps=1\n",
			{{3, "io_max: \"8:16 bps=1\": not understood: " DISKS}}},
		{WEB "io_max = 8:16 rbps=0\n",
			{{3, "io_max: \"8:16 rbps=0\": out of range: " DISKS}}},
		{WEB "io_max = 8:16 riops=5000000000\n",
			{{3, "io_max: \"8:16 riops=5000000000\": out of range: " DISKS}}},
		{WEB "io_max = 4096:0 rbps=1\n",
			{{3, "io_max: \"4096:0 rbps=1\": out of range: " DISKS}}},
		{WEB "io_max = 8: rbps=1\n",
			{{3, "io_max: \"8: rbps=1\": not understood: " DISKS}}},
		{WEB "io_max = ,\n", {{3, "io_max: \",\": not understood: " DISKS}}},
		{WEB "cpu_max = 0\n", {{3, "cpu_max: \"0\": out of range: " PROCESSORS}}},
		{WEB "cpu_max = 0.5%\n", {{3, "cpu_max: \"0.5%\": out of range: " PROCESSORS}}},
		{WEB "cpu_max = half\n", {{3, "cpu_max: \"half\": not understood: " PROCESSORS}}},
		{WEB "cpu_max = 1000001\n",
			{{3, "cpu_max: \"1000001\": out of range: " PROCESSORS}}},
		{WEB "cpu_max = 1.0001\n",
			{{3, "cpu_max: \"1.0001\": not understood: " PROCESSORS}}},
		{WEB "cpu_weight = 0\n", {{3, "cpu_weight: \"0\": out of range: expected a number "
					      "from 1 to 10000, or off"}}},
		{WEB "io_weight = 10001\n", {{3, "io_weight: \"10001\": out of range: expected a "
						 "number from 1 to 10000, or off"}}},
		{WEB "capabilities = NET_BIND_SERVICE,ROOT\n",
			{{3, "capabilities: \"NET_BIND_SERVICE,ROOT\": not understood: expected "
			     "names such as NET_BIND_SERVICE,CHOWN of capabilities(7), or none"}}},
		{WEB "memory_priority = 0\n",
			{{3, "memory_priority: \"0\": out of range: expected a number from 1 to "
			     "10000"}}},
		{WEB "allocator = jemalloc\n",
			{{3, "allocator: \"jemalloc\": not understood: expected spillway, keep or "
			     "auto"}}},
		{WEB "runtime = perl\n",
			{{3, "runtime: \"perl\": not understood: expected auto, off, node, java, "
			     "go, dotnet, python, php or ruby"}}},
		{WEB "shim = on\n", {{3, "shim: \"on\": not understood: expected auto or off"}}},
		{"[policy:p]\nhold = 5 s\n", {{2, "hold: \"5 s\": not understood: " DURATION_OFF}}},
		{"[policy:p]\nhold = 1200h\n",
			{{2, "hold: \"1200h\": out of range: " DURATION_OFF}}},
		{"[policy:p]\nbrake_hold = off\n",
			{{2, "brake_hold: \"off\": not understood: " DURATION}}},
		{"[policy:p]\nlazy_pressure = 5% 2s\n",
			{{2, "lazy_pressure: \"5% 2s\": not understood: " PSI}}},
		{"[policy:p]\nlazy_pressure = some 3s 2s\n",
			{{2, "lazy_pressure: \"some 3s 2s\": out of range: " PSI}}},
		{"[policy:p]\nbrake = six\n", {{2, "brake: \"six\": not understood: " AMOUNT}}},
		{"[policy:p]\nscavenge = go1.14\n",
			{{2, "scavenge: \"go1.14\": not understood: expected adaptive, off, "
			     "go1.11, go1.12, go1.13 or decay"}}},
		{"[policy:p]\nscavenge =\n",
			{{2, "scavenge: \"\": not understood: expected adaptive, off, go1.11, "
			     "go1.12, go1.13 or decay"}}},
		{"[policy:p]\nmadvise = free\n",
			{{2, "madvise: \"free\": not understood: expected auto or dontneed"}}},
		{"[policy:p]\nscavenge_cpu = 0%\n",
			{{2, "scavenge_cpu: \"0%\": out of range: " CPU}}},
		{"[policy:p]\nscavenge_cpu = 100.1%\n",
			{{2, "scavenge_cpu: \"100.1%\": out of range: " CPU}}},
		{"[policy:p]\nscavenge_cpu = 0.05%\n",
			{{2, "scavenge_cpu: \"0.05%\": not understood: " CPU}}},
		{"[policy:p]\nscavenge_cpu = off\n",
			{{2, "scavenge_cpu: \"off\": not understood: " CPU}}},
		{"[policy:p]\ncore_worth = 16383K\n",
			{{2, "core_worth: \"16383K\": out of range: " WORTH}}},
		{"[policy:p]\ncore_worth = 1025G\n",
			{{2, "core_worth: \"1025G\": out of range: " WORTH}}},
		{"[policy:p]\ncore_worth = 0\n", {{2, "core_worth: \"0\": out of range: " WORTH}}},
		{"[policy:p]\ncore_worth = 10%\n",
			{{2, "core_worth: \"10%\": not understood: " WORTH}}},
		{WEB "user = " CHARS_48 " " CHARS_48 "\n",
			{{3, "user: \"" CHARS_48
			     " abcdefghi...\": not understood: expected the name of one user, "
			     "its number, or UID:GID"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_pressure_signals_that_cannot_be_are_refused(void **state)
{
#define REFUSED(value, why) \
	{ \
		"[supervisor]\npressure_signals = " value "\n", \
		{ \
			{ \
				2, "pressure_signals: \"" value "\": " why ": " SIGNALS \
			} \
		} \
	}
	static const char taken[] = "a signal that the supervisor needs for itself or cannot have";
	static const char *const taken_signals[] = {
		"KILL", "STOP", "CHLD", "HUP", "TERM", "INT", "SEGV", "9", "SIGTERM"};
	static const struct loading_row rows[] = {
		REFUSED("", "not understood"),
		REFUSED("USR1", "a signal without :LEVEL"),
		REFUSED("FOO:eager", "an unknown signal"),
		REFUSED(":eager", "an unknown signal"),
		REFUSED("USR1:", "an unknown level (lazy, eager or full)"),
		REFUSED("USR1:calm", "an unknown level (lazy, eager or full)"),
		REFUSED("USR1:eager:x", "an unknown level (lazy, eager or full)"),
		REFUSED("USR1 : eager", "a signal without :LEVEL"),
		REFUSED("USR1:eager 10:full", "the same signal twice"),
		REFUSED("USR1:eager off", "a signal without :LEVEL"),
	};
#undef REFUSED
	char text[128];
	char error[256];

	(void)state;
	loading_all_fail(rows);
	for (size_t i = 0; i < sizeof taken_signals / sizeof taken_signals[0]; i++) {
		snprintf(text, sizeof text, "[supervisor]\npressure_signals = %s:full\n",
			taken_signals[i]);
		snprintf(error, sizeof error, "pressure_signals: \"%s:full\": %s: " SIGNALS,
			taken_signals[i], taken);
		loading_fails(&(struct loading_row){text, {{2, error}}});
	}
	loading_fails(&(struct loading_row){
		"[supervisor]\npressure_signals = RTMIN+1:lazy RTMIN+2:lazy RTMIN+3:lazy "
		"RTMIN+4:lazy RTMIN+5:lazy RTMIN+6:lazy RTMIN+7:lazy RTMIN+8:lazy RTMIN+9:lazy\n",
		{{2, "pressure_signals: \"RTMIN+1:lazy RTMIN+2:lazy RTMIN+3:lazy RTMIN+4:lazy "
		     "RTMIN+...\": more than 8 signals: " SIGNALS}}});
}

static void test_all_errors_come_at_once_in_the_order_of_the_lines(void **state)
{
	static const struct loading_row rows[] = {
		{"[service:a]\n"
		 "policy = nobody\n"
		 "  user = x\n"
		 "memory_max = 1X\n"
		 "[policy:p]\n"
		 "lazy_headroom = 1%\n"
		 "[nonsense]\n",
			{{1, "[service:a] has no command: expected command = PROGRAM ARGUMENTS"},
				{2, "policy: there is no [policy:nobody]: expected the NAME of a "
				    "[policy:NAME] of this file, or default"},
				{3, "an indented line: expected a key in the first column, and "
				    "every value on one line"},
				{4, "memory_max: \"1X\": not understood: " AMOUNT},
				{6, "lazy_headroom (1%) is below eager_headroom (15%, the "
				    "default): expected lazy >= eager >= full"},
				{7, "unknown section \"nonsense\": expected " SECTIONS}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_more_errors_than_are_kept_are_counted(void **state)
{
	static char text[64 + 100 * 4];
	size_t length = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		length += (size_t)snprintf(text + length, sizeof text - length, "x\n");
	assert_int_equal(config_load_text(text, length, &config, &errors), -EINVAL);
	assert_int_equal(errors.count, 100);
	assert_int_equal(errors.error[CONFIG_ERRORS_MAX - 1].line, CONFIG_ERRORS_MAX);
}

static void test_a_nul_byte_is_an_error_on_its_line(void **state)
{
	static const char text[] = WEB "user = a\0b\ndirectory = x\n";

	(void)state;
	assert_int_equal(config_load_text(text, sizeof text - 1, &config, &errors), -EINVAL);
	assert_int_equal(errors.count, 2);
	assert_int_equal(errors.error[0].line, 3);
	assert_string_equal(errors.error[0].text, "a NUL byte in the line: expected text");
	assert_int_equal(errors.error[1].line, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_sections_get_a_suggestion),
		cmocka_unit_test(test_keys_of_a_refused_section_are_not_held_against_it),
		cmocka_unit_test(test_unknown_keys_get_a_suggestion),
		cmocka_unit_test(test_what_stands_twice_names_the_first),
		cmocka_unit_test(test_an_address_is_made_of_numbers),
		cmocka_unit_test(test_a_service_needs_a_command),
		cmocka_unit_test(test_a_policy_that_is_not_there_gets_a_suggestion),
		cmocka_unit_test(test_names_are_checked),
		cmocka_unit_test(test_lines_that_an_ini_parser_would_bend_are_refused),
		cmocka_unit_test(test_values_of_the_wrong_kind_say_what_was_expected),
		cmocka_unit_test(test_pressure_signals_that_cannot_be_are_refused),
		cmocka_unit_test(test_all_errors_come_at_once_in_the_order_of_the_lines),
		cmocka_unit_test(test_more_errors_than_are_kept_are_counted),
		cmocka_unit_test(test_a_nul_byte_is_an_error_on_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
