/* How a service is started: refusals, the shim and its link, what makes another process. */

#include "supervisor/fleet/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/fake_tick.h"
#include "tests/support/said.h"

static void test_a_start_that_is_refused_is_tried_again(void **state)
{
	(void)state;
	fake_children.refuse_spawns = 3;
	fake_children.refuse_error = -EAGAIN;
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
	assert_false(service_is_down(&life.service));
	life_pass_until(LIFE_START_MS + 100 + 200);
	assert_int_equal(fake_children_spawned("web"), 0);
	life_pass_until(LIFE_START_MS + 100 + 200 + 400);
	assert_int_equal(fake_children_spawned("web"), 1);
	assert_int_equal(said("web: cannot start: Resource temporarily unavailable"), 3);
}

static char nobody[] = "nobody-of-that-name";

static void test_a_start_that_is_refused_and_never_repeated_is_fatal(void **state)
{
	(void)state;
	life.service.config->autorestart = CONFIG_RESTART_NEVER;
	life.service.config->user = nobody;
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(life.service.restart.state, RESTART_FATAL);
	assert_true(service_is_down(&life.service));
	assert_int_equal(life.service.exit_status, SPAWN_STATUS_UNUSABLE);
	assert_false(life.service.expected);
	assert_int_equal(said("web: user nobody-of-that-name: "), 1);
	assert_int_equal(fake_children.count, 0);
}

static void test_a_program_that_is_not_there_is_named(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	fake_children.next_failure = -ENOENT;
	life.service.config->autorestart = CONFIG_RESTART_NEVER;
	fake_children_exit(child, SPAWN_STATUS_MISSING);
	life_reap(child);
	assert_int_equal(said("spillway: web: No such file or directory"), 1);
	assert_int_equal(said("exited with"), 0);
	assert_int_equal(life.service.exit_status, SPAWN_STATUS_MISSING);
}

static void test_without_limits_of_its_own_it_runs_all_the_same(void **state)
{
	(void)state;
	fake_tick.prepare_error = -ENOMEM;
	life_start();
	assert_int_equal(said("web: runs without limits of its own: Cannot allocate memory"), 1);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
}

static void with_shim(const char *preloaded)
{
	life.config.shim = CONFIG_SHIM_AUTO;
	life.service.config->shim = CONFIG_SHIM_AUTO;
	life.host.shim_path = "/opt/lib/libspillway.so";
	life.host.start = "/srv";
	fake_tick.verdict.load = true;
	if (preloaded != NULL)
		setenv("LD_PRELOAD", preloaded, 1);
	assert_int_equal(link_open("web", NULL, &fake_tick.link), 0);
}

static void test_the_shim_is_added_to_what_is_preloaded(void **state)
{
	static const struct {
		const char *before;
		const char *after;
	} rows[] = {
		{NULL, "/opt/lib/libspillway.so"},
		{"", "/opt/lib/libspillway.so"},
		{"/a.so /b.so", "/a.so /b.so:/opt/lib/libspillway.so"},
		{"/opt/lib/libspillway.so:/a.so", "/opt/lib/libspillway.so:/a.so"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		with_shim(rows[i].before);
		life_init();
		const struct fake_child *child = life_start();
		char value[LINK_VALUE_BYTES];
		assert_int_equal(link_environment(fake_tick.link, value, sizeof value), 0);
		assert_string_equal(child->preload, rows[i].after);
		assert_string_equal(child->link, value);
		assert_ptr_equal(child->keep_fd, link_fds(fake_tick.link));
		assert_int_equal(child->keep_count, LINK_FILES);
		assert_string_equal(fake_tick.check.program, "web");
		assert_string_equal(fake_tick.check.start, "/srv");
		link_close(fake_tick.link);
		fake_tick.link = NULL;
	}
}

/* The bytes that systemd documents: "some 200000 2000000" and a NUL, in base64. */
static const char systemd_write[] = "c29tZSAyMDAwMDAgMjAwMDAwMAA=";

static void test_every_service_is_told_where_to_watch_for_pressure(void **state)
{
	static char chosen[] = "MEMORY_PRESSURE_WATCH=/mine";
	static char unlike[] = "MEMORY_PRESSURE_WATCHED=yes";
	static char *const own[] = {chosen, NULL};
	static char *const other[] = {unlike, NULL};
	static const struct {
		const char *inherited;
		char *const *config;
		bool trigger;
		int error;
		const char *watch;
		const char *write;
	} rows[] = {
		{.trigger = true, .watch = "/here", .write = systemd_write},
		{.watch = "/here", .write = "-"},
		/* What we inherited is of our own cgroup. */
		{.inherited = "/ours", .trigger = true, .watch = "/here", .write = systemd_write},
		{.inherited = "/ours", .watch = "/here", .write = "-"},
		{.inherited = "/ours", .error = -EROFS, .watch = "-", .write = "-"},
		/* The user's word counts. */
		{.inherited = "/dev/null", .trigger = true, .watch = "/dev/null", .write = "bXk="},
		{.config = own, .trigger = true, .watch = "/mine", .write = "-"},
		{.inherited = "/ours", .config = own, .watch = "/mine", .write = "bXk="},
		{.config = other, .trigger = true, .watch = "/here", .write = systemd_write},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsetenv("MEMORY_PRESSURE_WATCH");
		unsetenv("MEMORY_PRESSURE_WRITE");
		if (rows[i].inherited != NULL) {
			setenv("MEMORY_PRESSURE_WATCH", rows[i].inherited, 1);
			setenv("MEMORY_PRESSURE_WRITE", "bXk=", 1);
		}
		life.config.environment = (char **)rows[i].config;
		fake_tick.pressure =
			(struct tick_pressure){.trigger = rows[i].trigger, .path = "/here"};
		fake_tick.pressure_error = rows[i].error;
		life_init();
		const struct fake_child *child = life_start();
		assert_string_equal(child->pressure_watch, rows[i].watch);
		assert_string_equal(child->pressure_write, rows[i].write);
		assert_false(fake_tick.pressure_other_user);
	}
	life.config.environment = NULL;
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");
}

#define SPILLWAY "/opt/lib/libspillway.so"
#define AGENT "/opt/lib/libspillway-agent.so"

static void test_the_allocator_decides_which_library(void **state)
{
	static const struct {
		enum config_allocator allocator;
		bool no_agent;
		const char *named;
		const char *before;
		const char *after;
		const char *text;
	} rows[] = {
		{CONFIG_ALLOCATOR_SPILLWAY, false, "libjemalloc.so.2", NULL, SPILLWAY, NULL},
		{CONFIG_ALLOCATOR_KEEP, false, "", NULL, AGENT, NULL},
		{CONFIG_ALLOCATOR_KEEP, true, "", NULL, "",
			"web: shim: none (libspillway-agent.so is not there)"},
		{CONFIG_ALLOCATOR_AUTO, false, "", NULL, SPILLWAY, NULL},
		{CONFIG_ALLOCATOR_AUTO, false, "libjemalloc.so.2", NULL, AGENT,
			"web: allocator: kept (web names libjemalloc.so.2)"},
		{CONFIG_ALLOCATOR_AUTO, true, "libjemalloc.so.2", NULL, SPILLWAY, NULL},
		{CONFIG_ALLOCATOR_AUTO, false, "", "/x/libjemalloc.so.2",
			"/x/libjemalloc.so.2:" AGENT, "web: allocator: kept (LD_PRELOAD names it)"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		with_shim(rows[i].before);
		life.config.allocator = rows[i].allocator;
		life.host.agent_path = rows[i].no_agent ? NULL : AGENT;
		snprintf(fake_tick.verdict.allocator, sizeof fake_tick.verdict.allocator, "%s",
			rows[i].named);
		life_init();
		const struct fake_child *child = life_start();
		assert_string_equal(child->preload, rows[i].after);
		if (rows[i].text != NULL)
			assert_int_equal(said(rows[i].text), 1);
		link_close(fake_tick.link);
		fake_tick.link = NULL;
		unsetenv("LD_PRELOAD");
	}
}

static void test_without_the_shim_no_link_is_handed_on(void **state)
{
	static const struct {
		bool off;
		bool no_library;
		bool no_link;
		const char *verdict;
		const char *text;
	} rows[] = {
		{.off = true, .text = "web: shim: none (switched off)"},
		{.no_library = true, .text = "web: shim: none (libspillway.so is not there)"},
		{.no_link = true, .text = "web: shim: none (no link could be made)"},
		{.verdict = "it is static", .text = "web: shim: none (it is static)"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		with_shim(NULL);
		struct link *made = fake_tick.link;
		if (rows[i].off)
			life.config.shim = CONFIG_SHIM_OFF;
		if (rows[i].no_library)
			life.host.shim_path = NULL;
		if (rows[i].no_link)
			fake_tick.link = NULL;
		fake_tick.verdict = (struct shim_verdict){.load = rows[i].verdict == NULL};
		snprintf(fake_tick.verdict.reason, sizeof fake_tick.verdict.reason, "%s",
			rows[i].verdict != NULL ? rows[i].verdict : "");
		life_init();
		const struct fake_child *child = life_start();
		assert_string_equal(child->preload, "");
		assert_string_equal(child->link, "");
		assert_int_equal(child->keep_count, 0);
		assert_int_equal(said(rows[i].text), 1);
		assert_true(service_deadline_ms(&life.service) == SERVICE_NEVER);
		link_close(made);
		fake_tick.link = NULL;
	}
}

static void test_a_shim_that_shows_up_late_is_missed_first(void **state)
{
	(void)state;
	with_shim(NULL);
	life_start();
	life_pass_until(LIFE_START_MS + SERVICE_SHIM_MS - 1);
	assert_int_equal(said("shim: none"), 0);
	life_pass_until(LIFE_START_MS + 20000);
	assert_int_equal(said("web: shim: none (it did not load within 2 s)"), 1);
	fake_tick.has_process = true;
	life_pass_until(LIFE_START_MS + 60000);
	assert_int_equal(said("web: shim: active"), 1);
	assert_int_equal(said("shim: none"), 1);
	assert_true(service_deadline_ms(&life.service) == SERVICE_NEVER);
}

static void test_a_shim_that_never_comes_costs_a_dozen_looks(void **state)
{
	unsigned looks = 0;
	(void)state;
	with_shim(NULL);
	life_start();
	while (service_deadline_ms(&life.service) != SERVICE_NEVER) {
		assert_true(looks++ < 20);
		life_step_at(service_deadline_ms(&life.service));
	}
	assert_true(life.now_ms >= LIFE_START_MS + 60000);
	assert_int_equal(said("shim: none"), 1);
}

static void test_what_makes_another_process_and_what_does_not(void **state)
{
	static char web_text[] = "web", v[] = "-v", q[] = "-q", a1[] = "A=1";
	static char again[] = "web", v_again[] = "-v";
	static char srv[] = "/srv", root_folder[] = "/", www[] = "www", root[] = "root";
	static char *web[] = {web_text, v, NULL};
	static char *same[] = {again, v_again, NULL};
	static char *shorter[] = {again, NULL};
	static char *other[] = {again, q, NULL};
	static char *one[] = {a1, NULL};
	static char *none[] = {NULL};
	const struct config_log file = {.kind = CONFIG_LOG_FILE, .path = srv};
	const struct config_log another = {
		.kind = CONFIG_LOG_FILE, .path = root_folder, .max_bytes = 1};
	const struct config_service base = {
		.argv = web, .directory = srv, .user = www, .log = {file}};
	struct {
		struct config_service config;
		bool is_same;
	} rows[] = {
		{{.argv = same, .directory = srv, .user = www, .log = {file}}, true},
		{{.argv = same,
			 .directory = srv,
			 .user = www,
			 .stopwait_ms = 1,
			 .stopsignal = SIGINT,
			 .autorestart = CONFIG_RESTART_ALWAYS,
			 .memory_max = {.bytes = 1},
			 .memory_high = {.permille = 1},
			 .log = {another},
			 .policy = 3},
			true},
		{{.argv = shorter, .directory = srv, .user = www, .log = {file}}, false},
		{{.argv = other, .directory = srv, .user = www, .log = {file}}, false},
		{{.argv = same, .directory = root_folder, .user = www, .log = {file}}, false},
		{{.argv = same, .directory = NULL, .user = www, .log = {file}}, false},
		{{.argv = same, .directory = srv, .user = root, .log = {file}}, false},
		{{.argv = same, .directory = srv, .user = www, .log = {file}, .environment = one},
			false},
		{{.argv = same, .directory = srv, .user = www, .log = {file}, .environment = none},
			false},
		{{.argv = same,
			 .directory = srv,
			 .user = www,
			 .log = {file},
			 .shim = CONFIG_SHIM_OFF},
			false},
		{{.argv = same, .directory = srv, .user = www}, false},
		{{.argv = same, .directory = srv, .user = www, .log = {file, file}}, false},
		{{.argv = same,
			 .directory = srv,
			 .user = www,
			 .log = {file},
			 .redirect_stderr = true},
			false},
		{{.argv = same, .directory = srv, .user = www, .log = {file}, .has_umask = true},
			false},
		{{.argv = same, .directory = srv, .user = www, .log = {file}, .is_program = true},
			false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(service_same_process(&base, &rows[i].config), rows[i].is_same);
		assert_int_equal(service_same_process(&rows[i].config, &base), rows[i].is_same);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, life_setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_start_that_is_refused_is_tried_again),
		TEST(test_a_start_that_is_refused_and_never_repeated_is_fatal),
		TEST(test_a_program_that_is_not_there_is_named),
		TEST(test_without_limits_of_its_own_it_runs_all_the_same),
		TEST(test_the_shim_is_added_to_what_is_preloaded),
		TEST(test_every_service_is_told_where_to_watch_for_pressure),
		TEST(test_the_allocator_decides_which_library),
		TEST(test_without_the_shim_no_link_is_handed_on),
		TEST(test_a_shim_that_shows_up_late_is_missed_first),
		TEST(test_a_shim_that_never_comes_costs_a_dozen_looks),
		TEST(test_what_makes_another_process_and_what_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
