/* Checks of ports and of HTTP, against servers on the loopback that do what they should not. */
#include "supervisor/fleet/probe.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define TIMEOUT_MS 1000U

static char text[] = "http://x/";
static char path[] = "/health";

/* Listens somewhere; config is a check of that. */
static int serve(struct config_probe *config, enum config_probe_kind kind)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&address, &size);
	*config = (struct config_probe){
		.kind = kind, .number = ntohs(address.sin_port), .text = text, .path = path};
	memcpy(config->address, &address.sin_addr, sizeof address.sin_addr);
	return fd;
}

/* By the clock of the test, until it has ended; answer is what the server says to a request, NULL:
 * nothing, and it ends after that if it is to. */
static enum probe_result run(struct probe *probe, const struct config_probe *config, int server,
	const char *answer, bool ends)
{
	enum probe_result result = PROBE_GOES_ON;
	uint64_t now_ms = 5000;
	int client = -1;
	probe_init(probe);
	assert_true(probe_is_free(probe));
	probe_start(probe, config, NULL, NULL, TIMEOUT_MS, now_ms);
	for (int looks = 0; result == PROBE_GOES_ON && looks < 1000; looks++) {
		assert_true(now_ms <= 5000 + TIMEOUT_MS);
		result = probe_step(probe, config, now_ms);
		if (client < 0 && probe->state == PROBE_READS) {
			char request[512] = "";
			client = accept(server, NULL, NULL);
			assert_true(read(client, request, sizeof request - 1) > 0);
			assert_non_null(strstr(request, "GET /health HTTP/1.0\r\n"));
			if (answer != NULL)
				assert_int_equal(
					write(client, answer, strlen(answer)), strlen(answer));
			if (ends)
				close(client);
		}
		now_ms = probe_deadline_ms(probe);
	}
	assert_int_not_equal(result, PROBE_GOES_ON);
	assert_int_equal(probe->fd, -1);
	assert_int_equal(probe_deadline_ms(probe), PROBE_NEVER);
	if (client >= 0 && !ends)
		close(client);
	return result;
}

static void test_a_port_that_is_listened_at_passes(void **state)
{
	struct config_probe config;
	struct probe probe;
	(void)state;
	int server = serve(&config, CONFIG_PROBE_PORT);
	assert_int_equal(run(&probe, &config, server, NULL, true), PROBE_PASSED);
	close(server);
	assert_int_equal(run(&probe, &config, server, NULL, true), PROBE_FAILED);
	assert_string_equal(probe.why, "http://x/: Connection refused");
}

static void test_answers_are_judged_by_their_status(void **state)
{
	static const struct {
		const char *answer;
		bool ends;
		enum probe_result result;
		const char *why;
	} rows[] = {
		{"HTTP/1.1 200 OK\r\n\r\nhello", true, PROBE_PASSED, ""},
		{"HTTP/1.0 204\r\n\r\n", true, PROBE_PASSED, ""},
		{"HTTP/1.1 302 Found\r\n\r\n", true, PROBE_PASSED, ""},
		/* An answer that does not end, such as a stream of events. */
		{"HTTP/1.1 200 OK\r\n\r\nhello", false, PROBE_PASSED, ""},
		{"HTTP/1.1 404 Not Found\r\n\r\n", true, PROBE_FAILED, "http://x/: status 404"},
		{"HTTP/1.1 500\r\n\r\n", false, PROBE_FAILED, "http://x/: status 500"},
		{"HTTP/1.1 100 Continue\r\n\r\n", true, PROBE_FAILED, "http://x/: status 100"},
		{"HTTP/1.1 ", true, PROBE_FAILED, "http://x/: no HTTP answer"},
		{"HTTP/1.1 2", false, PROBE_FAILED, "no answer within 1000 ms"},
		{"SSH-2.0-OpenSSH_9.2p1\r\n", true, PROBE_FAILED, "http://x/: no HTTP answer"},
		{"", true, PROBE_FAILED, "http://x/: no HTTP answer"},
		{"", false, PROBE_FAILED, "no answer within 1000 ms"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_probe config;
		struct probe probe;
		int server = serve(&config, CONFIG_PROBE_HTTP);
		enum probe_result result =
			run(&probe, &config, server, rows[i].answer, rows[i].ends);
		if (result != rows[i].result || strcmp(probe.why, rows[i].why) != 0)
			fail_msg("%s: %s", rows[i].answer, probe.why);
		close(server);
	}
}

static void test_an_answer_without_end_is_not_read_for_ever(void **state)
{
	static char body[80000] = "HTTP/1.1 200 OK\r\n\r\n";
	struct config_probe config;
	struct probe probe;
	(void)state;
	memset(body + strlen(body), 'x', sizeof body - strlen(body) - 1);
	int server = serve(&config, CONFIG_PROBE_HTTP);
	assert_int_equal(run(&probe, &config, server, body, false), PROBE_PASSED);
	assert_true(probe.got < 80000);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_port_that_is_listened_at_passes),
		cmocka_unit_test(test_answers_are_judged_by_their_status),
		cmocka_unit_test(test_an_answer_without_end_is_not_read_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
