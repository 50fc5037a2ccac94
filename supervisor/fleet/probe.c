/* One check whether a service answers: a connection, a request, or a command. */
#include "supervisor/fleet/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_BYTES 8448 /* a line of the file and what is around it */
#define STATUS_AT 9        /* "HTTP/1.1 200" */
#define STATUS_BYTES 12
#define ANSWER_MOST_BYTES 65536U

void probe_init(struct probe *probe)
{
	*probe = (struct probe){.fd = -1, .deadline_ms = PROBE_NEVER, .look_ms = PROBE_NEVER};
	service_command_init(&probe->command);
}

static enum probe_result finish(struct probe *probe, enum probe_result result)
{
	if (probe->fd >= 0)
		close(probe->fd);
	probe->fd = -1;
	probe->state = PROBE_IDLE;
	probe->deadline_ms = PROBE_NEVER;
	probe->look_ms = PROBE_NEVER;
	return result;
}

static enum probe_result fail(struct probe *probe, const char *what, int error)
{
	snprintf(probe->why, sizeof probe->why, "%s: %s", what, strerror(error));
	return finish(probe, PROBE_FAILED);
}

static enum probe_result wait_more(struct probe *probe, uint64_t now_ms)
{
	if (now_ms >= probe->deadline_ms) {
		snprintf(probe->why, sizeof probe->why, "no answer within %u ms",
			(unsigned)probe->timeout_ms);
		return finish(probe, PROBE_FAILED);
	}
	probe->look_ms = now_ms + probe->look_in_ms;
	if (probe->look_ms > probe->deadline_ms)
		probe->look_ms = probe->deadline_ms;
	if (probe->look_in_ms < PROBE_LOOK_MOST_MS)
		probe->look_in_ms *= 2;
	return PROBE_GOES_ON;
}

/* 0, or the errno of what could not be done at once. */
static int connect_to(struct probe *probe, const struct config_probe *config)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)config->number)};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)config->number)};
	memcpy(&v4.sin_addr, config->address, sizeof v4.sin_addr);
	memcpy(&v6.sin6_addr, config->address, sizeof v6.sin6_addr);
	probe->fd = socket(
		config->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->fd < 0)
		return errno;
	int failed = config->is_v6 ? connect(probe->fd, (struct sockaddr *)&v6, sizeof v6)
				   : connect(probe->fd, (struct sockaddr *)&v4, sizeof v4);
	return failed != 0 && errno != EINPROGRESS ? errno : 0;
}

bool probe_is_free(const struct probe *probe)
{
	return probe->state == PROBE_IDLE && probe->look_ms == PROBE_NEVER &&
	       probe->command.pid == 0;
}

void probe_start(struct probe *probe, const struct config_probe *config, struct service *service,
	const struct service_host *host, uint32_t timeout_ms, uint64_t now_ms)
{
	int error;
	probe->timeout_ms = timeout_ms;
	probe->deadline_ms = now_ms + timeout_ms;
	probe->look_ms = now_ms;
	probe->look_in_ms = 1;
	probe->got = 0;
	probe->why[0] = '\0';
	if (config->kind == CONFIG_PROBE_EXEC) {
		const struct service_command_what what = {
			.argv = config->argv, .most_ms = timeout_ms};
		error = -service_command_start(&probe->command, service, host, &what, now_ms);
		probe->state = PROBE_RUNS;
		probe->look_ms = PROBE_NEVER;
	} else {
		error = connect_to(probe, config);
		probe->state = PROBE_CONNECTS;
	}
	/* It is told with the next look. */
	if (error != 0) {
		fail(probe, config->text, error);
		probe->look_ms = now_ms;
	}
}

static enum probe_result send_request(
	struct probe *probe, const struct config_probe *config, uint64_t now_ms)
{
	char request[REQUEST_BYTES];
	int length = snprintf(request, sizeof request,
		"GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: spillway\r\n\r\n", config->path);
	/* A new connection's buffer takes it. */
	if (send(probe->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
		return fail(probe, config->text, errno);
	probe->state = PROBE_READS;
	return wait_more(probe, now_ms);
}

static enum probe_result look_at_connection(
	struct probe *probe, const struct config_probe *config, uint64_t now_ms)
{
	struct pollfd wait = {.fd = probe->fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof error;
	if (poll(&wait, 1, 0) <= 0)
		return wait_more(probe, now_ms);
	getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0)
		return fail(probe, config->text, error);
	if (config->kind == CONFIG_PROBE_PORT)
		return finish(probe, PROBE_PASSED);
	return send_request(probe, config, now_ms);
}

static enum probe_result judge_answer(struct probe *probe, const struct config_probe *config)
{
	probe->answer[probe->got < STATUS_BYTES ? probe->got : STATUS_BYTES] = '\0';
	bool is_http = probe->got >= STATUS_BYTES && strncmp(probe->answer, "HTTP/1.", 7) == 0;
	long status = is_http ? strtol(probe->answer + STATUS_AT, NULL, 10) : 0;
	if (status >= 200 && status <= 399)
		return finish(probe, PROBE_PASSED);
	if (is_http)
		snprintf(probe->why, sizeof probe->why, "%s: status %ld", config->text, status);
	else
		snprintf(probe->why, sizeof probe->why, "%s: no HTTP answer", config->text);
	return finish(probe, PROBE_FAILED);
}

/* The rest of the answer is read too, since a server may complain of a client that goes away; but
 * not for longer than the check may take, nor more of it than that. */
static enum probe_result look_at_answer(
	struct probe *probe, const struct config_probe *config, uint64_t now_ms)
{
	char text[4096];
	while (probe->got < ANSWER_MOST_BYTES) {
		ssize_t got = recv(probe->fd, text, sizeof text, MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN) {
			if (now_ms >= probe->deadline_ms && probe->got >= STATUS_BYTES)
				break;
			return wait_more(probe, now_ms);
		}
		if (got < 0 && probe->got < STATUS_BYTES)
			return fail(probe, config->text, errno);
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got && probe->got + (size_t)i < STATUS_BYTES; i++)
			probe->answer[probe->got + (size_t)i] = text[i];
		probe->got += (size_t)got;
	}
	return judge_answer(probe, config);
}

enum probe_result probe_step(
	struct probe *probe, const struct config_probe *config, uint64_t now_ms)
{
	service_command_step(&probe->command, now_ms);
	if (now_ms < probe->look_ms)
		return PROBE_GOES_ON;
	switch (probe->state) {
	case PROBE_IDLE:
		return finish(probe, probe->why[0] == '\0' ? PROBE_PASSED : PROBE_FAILED);
	case PROBE_CONNECTS:
		return look_at_connection(probe, config, now_ms);
	case PROBE_READS:
		return look_at_answer(probe, config, now_ms);
	case PROBE_RUNS:
		break;
	}
	return PROBE_GOES_ON;
}

uint64_t probe_deadline_ms(const struct probe *probe)
{
	uint64_t kill_ms = service_command_deadline_ms(&probe->command);
	return kill_ms < probe->look_ms ? kill_ms : probe->look_ms;
}

bool probe_died(struct probe *probe, pid_t pid, int code, int status)
{
	char why[SERVICE_COMMAND_WHY_BYTES];
	if (!service_command_died(&probe->command, pid, code, status, "the command", why))
		return false;
	/* Else it was ended, and nobody waits for it. */
	if (probe->state == PROBE_RUNS) {
		memcpy(probe->why, why, sizeof probe->why);
		probe->state = PROBE_IDLE;
		probe->look_ms = 0;
	}
	return true;
}

void probe_end(struct probe *probe)
{
	service_command_end(&probe->command);
	finish(probe, PROBE_FAILED);
}
