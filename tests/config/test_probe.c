/* What says how a service is found to be up or of use. */
#include "tests/config/loading.h"

#include <arpa/inet.h>
#include <stdio.h>

#define SERVICE "[service:web]\ncommand = x\n"

static struct config config;

static void test_every_way_is_read(void **state)
{
	static const struct {
		const char *text;
		enum config_probe_kind kind;
		int number;
		const char *address;
		const char *path;
	} rows[] = {
		{"none", CONFIG_PROBE_NONE, 0, NULL, NULL},
		{"systemd", CONFIG_PROBE_SYSTEMD, 0, NULL, NULL},
		{"fd:3", CONFIG_PROBE_FD, 3, NULL, NULL},
		{"fd:199", CONFIG_PROBE_FD, 199, NULL, NULL},
		{"port:8080", CONFIG_PROBE_PORT, 8080, "127.0.0.1", NULL},
		{"port:10.1.2.3:1", CONFIG_PROBE_PORT, 1, "10.1.2.3", NULL},
		{"port:localhost:65535", CONFIG_PROBE_PORT, 65535, "127.0.0.1", NULL},
		{"port:[::1]:80", CONFIG_PROBE_PORT, 80, "::1", NULL},
		{"http://127.0.0.1", CONFIG_PROBE_HTTP, 80, "127.0.0.1", "/"},
		{"http://localhost:81/a?b=c:d", CONFIG_PROBE_HTTP, 81, "127.0.0.1", "/a?b=c:d"},
		{"http://[fe80::1]:82/", CONFIG_PROBE_HTTP, 82, "fe80::1", "/"},
		{"http://[::1]", CONFIG_PROBE_HTTP, 80, "::1", "/"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[256];
		char address[INET6_ADDRSTRLEN];
		const struct config_probe *probe;
		snprintf(text, sizeof text, SERVICE "notify = %s\n", rows[i].text);
		loading_succeeds(text, &config);
		probe = &config.services[0].notify;
		assert_int_equal(probe->kind, rows[i].kind);
		assert_int_equal(probe->number, rows[i].number);
		assert_string_equal(probe->text, rows[i].text);
		if (rows[i].address != NULL) {
			inet_ntop(probe->is_v6 ? AF_INET6 : AF_INET, probe->address, address,
				sizeof address);
			assert_string_equal(address, rows[i].address);
		}
		if (rows[i].path != NULL)
			assert_string_equal(probe->path, rows[i].path);
		config_free(&config);
	}
	loading_succeeds(SERVICE "health = exec:curl -f 'http://a b/'\n", &config);
	assert_int_equal(config.services[0].health.kind, CONFIG_PROBE_EXEC);
	assert_string_equal(config.services[0].health.argv[2], "http://a b/");
	assert_null(config.services[0].health.argv[3]);
	config_free(&config);
}

static void test_other_texts_are_none(void **state)
{
	static const char *const texts[] = {"", "systemd:", "fd:", "fd:2", "fd:200", "fd:x",
		"port:", "port:0", "port:65536", "port:1:2:3", "port:example.org:80", "port:::1:80",
		"port:[::1]", "port:[::1]80", "port:[::1", "port:127.0.0.1:", "http://", "http:///",
		"http://example.org/", "http://127.0.0.1:/", "http://127.0.0.1:80/a b",
		"https://127.0.0.1/", "exec:", "exec:a | b", "none ", "port:-1", "port:+1",
		"http://[::1]x/", "http://[]/", "http://127.0.0.1:80:80/",
		/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma) */
		"http://"
		"111111111111111111111111111111111111111111111111111111111111111111111111111111111"
		"111111111111111111111111111111111111111111111111111111111111111111111111111111111"
		"/"};
	static struct config_errors errors;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char text[512];
		snprintf(text, sizeof text, SERVICE "notify =%s\n", texts[i]);
		/* Blanks at the end of a line are none of the value. */
		if (strcmp(texts[i], "none ") == 0)
			continue;
		if (config_load_text(text, strlen(text), &config, &errors) == 0)
			fail_msg("%s was read", texts[i]);
		assert_int_equal(errors.error[0].line, 3);
	}
}

static void test_what_only_the_service_can_tell_is_no_health_check(void **state)
{
#define HEALTH_EXPECTED \
	"expected none, port:[ADDRESS:]PORT, http://ADDRESS:PORT/PATH or exec:COMMAND"
	static const struct loading_row rows[] = {
		{SERVICE "health = systemd\n",
			{{3, "health: \"systemd\": not understood: " HEALTH_EXPECTED}}},
		{SERVICE "health = fd:3\n",
			{{3, "health: \"fd:3\": not understood: " HEALTH_EXPECTED}}},
		{SERVICE "health_interval = 0\n",
			{{3, "health_interval: \"0\": out of range: expected a duration such as "
			     "250ms, 2s or 1m (a bare number is seconds)"}}},
		{SERVICE "health_retries = 0\n",
			{{3, "health_retries: \"0\": out of range: expected a number from 1 to "
			     "1000"}}},
		{SERVICE "watchdog = 3s\n",
			{{3, "watchdog: only systemd's protocol has it: expected notify = "
			     "systemd"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_every_change_is_one(void **state)
{
	static const char *const keys[] = {"notify = port:1", "notify = systemd",
		"start_timeout = 1", "notify = systemd\nwatchdog = 1", "health = port:1",
		"health = port:2", "health_interval = 1", "health_timeout = 1",
		"health_retries = 1", "health_start = 1"};
	struct config plain;

	(void)state;
	loading_succeeds(SERVICE, &plain);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		char text[256];
		snprintf(text, sizeof text, SERVICE "%s\n", keys[i]);
		loading_succeeds(text, &config);
		assert_false(config_service_equal(&plain.services[0], &config.services[0]));
		config_free(&config);
	}
	config_free(&plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_way_is_read),
		cmocka_unit_test(test_other_texts_are_none),
		cmocka_unit_test(test_what_only_the_service_can_tell_is_no_health_check),
		cmocka_unit_test(test_every_change_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
