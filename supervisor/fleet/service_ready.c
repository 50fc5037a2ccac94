/* Finds out when a service is up, and hears what it tells afterwards. */
#include "supervisor/fleet/service_ready.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/notify_socket.h"
#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_health.h"
#include "supervisor/fleet/service_own.h"

/* Of the senders of what is read at a time so many are looked up, which is what costs most. */
#define SENDERS_AT_ONCE 16U
#define FLOOD_PERIOD_MS 1000U

void ready_init(struct ready *ready)
{
	*ready = (struct ready){.fd = -1,
		.child_fd = -1,
		.poll_fd = -1,
		.timeout_ms = READY_NEVER,
		.probe_ms = READY_NEVER,
		.watchdog_ms = READY_NEVER};
}

static bool is_probed(const struct config_service *config)
{
	return !service_tells(config) && config->notify.kind != CONFIG_PROBE_NONE;
}

static void close_fd(struct ready *ready)
{
	if (ready->watch != NULL)
		loop_watch_free(ready->watch);
	ready->watch = NULL;
	if (ready->poll_fd >= 0)
		close(ready->poll_fd);
	ready->poll_fd = -1;
	if (ready->fd >= 0)
		close(ready->fd);
	ready->fd = -1;
}

void ready_close(struct ready *ready)
{
	close_fd(ready);
	if (ready->child_fd >= 0)
		close(ready->child_fd);
	free(ready->status);
	ready_init(ready);
}

static void become_ready(struct service *service, uint64_t now_ms)
{
	if (service->ready)
		return;
	service->ready = true;
	service->ready_ms = SERVICE_NEVER;
	service->ready_since_ms = now_ms;
	service->ready_state.timeout_ms = READY_NEVER;
	service->ready_state.probe_ms = READY_NEVER;
	if (service->config->notify.kind != CONFIG_PROBE_NONE)
		log_info("%s: ready after %" PRIu64 " ms", service->config->name,
			now_ms - service->started_ms);
}

/* What a message says --------------------------------------------------------------- */

static void take_status(struct ready *ready, const struct notify_message *message)
{
	free(ready->status);
	ready->status = message->status[0] != '\0' ? strdup(message->status) : NULL;
}

static void take(struct service *service, const struct notify_message *message, uint64_t now_ms)
{
	struct ready *ready = &service->ready_state;
	const struct config_service *config = service->config;
	if (message->has_status)
		take_status(ready, message);
	if (message->is_reloading)
		ready->is_reloading = true;
	if (message->is_stopping)
		ready->is_stopping = true;
	if (message->main_pid != 0 && service_owns(service, message->main_pid))
		ready->main_pid = message->main_pid;
	if (message->extend_ms != 0 && ready->timeout_ms != READY_NEVER &&
		now_ms + message->extend_ms > ready->timeout_ms)
		ready->timeout_ms = now_ms + message->extend_ms;
	if (message->is_ready) {
		ready->is_reloading = false;
		become_ready(service, now_ms);
	}
	if (message->is_trouble)
		ready->is_trouble = true;
	if (config->watchdog_ms != 0 && (message->is_alive || message->is_ready))
		ready->watchdog_ms = now_ms + config->watchdog_ms;
}

/* The count of datagrams; *taken of them were the service's own.  A sender is looked up once where
 * it has sent several in a row. */
static unsigned read_messages(struct service *service, uint64_t now_ms, unsigned *taken)
{
	struct notify_message message;
	unsigned count = 0;
	unsigned looked = 0;
	pid_t sender = 0;
	bool owns = false;
	*taken = 0;
	while (count < READY_AT_ONCE && looked < SENDERS_AT_ONCE &&
		notify_socket_read(service->ready_state.fd, &message) > 0) {
		count++;
		if (message.sender != sender || sender == 0) {
			sender = message.sender;
			owns = service_owns(service, sender);
			looked++;
			if (!owns)
				log_debug("%s: a notification of process %d, which is none of it, "
					  "is passed over",
					service->config->name, (int)sender);
		}
		if (owns) {
			take(service, &message, now_ms);
			(*taken)++;
		}
	}
	return count;
}

/* A line is what counts; an end without one is none. */
static void read_line(struct service *service, uint64_t now_ms)
{
	char text[256];
	ssize_t length = read(service->ready_state.fd, text, sizeof text);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length > 0 && memchr(text, '\n', (size_t)length) == NULL)
		return;
	close_fd(&service->ready_state);
	if (length > 0)
		become_ready(service, now_ms);
	else if (!service->ready)
		log_warn("%s: closed descriptor %d without a line", service->config->name,
			service->config->notify.number);
}

/* A flood -------------------------------------------------------------------------- */

static void on_poll(void *context);
static void on_message(void *context);

/* The descriptor that is waited for from now on: the socket's or the timer's. */
static int watch(struct service *service, int fd, void (*ready)(void *context))
{
	struct ready *state = &service->ready_state;
	struct loop_watch *made;
	int error = loop_watch_new(state->host->loop, fd, ready, service, &made);
	if (error != 0)
		return error;
	loop_watch_free(state->watch);
	state->watch = made;
	return 0;
}

static int open_poll(void)
{
	const struct timespec period = {.tv_nsec = READY_POLL_MS * 1000000L};
	const struct itimerspec times = {.it_interval = period, .it_value = period};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd >= 0)
		timerfd_settime(fd, 0, &times, NULL);
	return fd;
}

/* Where that cannot be done it goes on as it was. */
static void begin_poll(struct service *service)
{
	struct ready *ready = &service->ready_state;
	int fd = open_poll();
	if (fd < 0)
		return;
	if (watch(service, fd, on_poll) != 0) {
		close(fd);
		return;
	}
	ready->poll_fd = fd;
	log_debug("%s: a flood of notifications: heard every %u ms from now on",
		service->config->name, READY_POLL_MS);
}

static void end_poll(struct service *service)
{
	struct ready *ready = &service->ready_state;
	if (watch(service, ready->fd, on_message) != 0)
		return;
	close(ready->poll_fd);
	ready->poll_fd = -1;
}

/* Decides whether it is a flood.  During one a second counts as quiet when nobody has sent more in
 * it than outside of one. */
static void judge(struct service *service, unsigned count, uint64_t now_ms)
{
	struct ready *ready = &service->ready_state;
	bool over = now_ms - ready->heard_since_ms >= FLOOD_PERIOD_MS;
	if (over && ready->poll_fd >= 0 && ready->heard + count < READY_FLOOD)
		end_poll(service);
	if (over) {
		ready->heard_since_ms = now_ms;
		ready->heard = 0;
	}
	ready->heard += count;
	if (ready->poll_fd < 0 && ready->heard >= READY_FLOOD)
		begin_poll(service);
}

static void hear(struct service *service)
{
	const struct service_host *host = service->ready_state.host;
	uint64_t now_ms = loop_now_ms();
	unsigned taken;
	judge(service, read_messages(service, now_ms, &taken), now_ms);
	if (taken > 0)
		host->wake(host->context);
}

static void on_poll(void *context)
{
	struct service *service = context;
	uint64_t expired;
	ssize_t ignored = read(service->ready_state.poll_fd, &expired, sizeof expired);
	(void)ignored;
	hear(service);
}

static void on_message(void *context)
{
	struct service *service = context;
	const struct service_host *host = service->ready_state.host;
	if (service->config->notify.kind == CONFIG_PROBE_SYSTEMD) {
		hear(service);
		return;
	}
	read_line(service, loop_now_ms());
	host->wake(host->context);
}

/* A start --------------------------------------------------------------------------- */

static int open_socket(struct service *service, struct environment *environment)
{
	char name[NOTIFY_NAME_BYTES];
	char number[24];
	uint64_t watchdog_us = UINT64_C(1000) * service->config->watchdog_ms;
	int error = notify_socket_open(&service->ready_state.fd, name);
	if (error != 0)
		return error;
	error = environment_set(environment, "NOTIFY_SOCKET", name);
	environment_unset(environment, "WATCHDOG_USEC");
	environment_unset(environment, "WATCHDOG_PID");
	if (error != 0 || watchdog_us == 0)
		return error;
	snprintf(number, sizeof number, "%" PRIu64, watchdog_us);
	error = environment_set(environment, "WATCHDOG_USEC", number);
	/* spawn makes it the child's. */
	snprintf(number, sizeof number, "%d", (int)getpid());
	return error == 0 ? environment_set(environment, "WATCHDOG_PID", number) : error;
}

static int open_pipe(struct ready *ready)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	ready->fd = ends[0];
	ready->child_fd = ends[1];
	return fcntl(ready->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : -errno;
}

int ready_open(
	struct service *service, const struct service_host *host, struct environment *environment)
{
	struct ready *ready = &service->ready_state;
	ready_close(ready);
	if (!service_tells(service->config))
		return 0;
	int error = service->config->notify.kind == CONFIG_PROBE_SYSTEMD
			    ? open_socket(service, environment)
			    : open_pipe(ready);
	ready->host = host;
	if (error == 0)
		error = loop_watch_new(host->loop, ready->fd, on_message, service, &ready->watch);
	if (error != 0)
		ready_close(ready);
	return error;
}

void ready_begin(struct service *service, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct ready *ready = &service->ready_state;
	if (ready->child_fd >= 0)
		close(ready->child_fd);
	ready->child_fd = -1;
	service->ready = false;
	service->ready_ms = now_ms + config->startsecs_ms;
	bool is_timed = config->notify.kind != CONFIG_PROBE_NONE || config->is_oneshot ||
			config->pidfile != NULL;
	service_follow_init(&service->follow);
	if (!is_timed || service->left != NULL)
		return;
	if (config->start_timeout_ms != 0)
		ready->timeout_ms = now_ms + config->start_timeout_ms;
	ready->probe_in_ms = READY_PROBE_LEAST_MS;
	if (is_probed(config))
		ready->probe_ms = now_ms;
}

/* What is due ------------------------------------------------------------------------ */

static void probe(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct ready *ready = &service->ready_state;
	if (ready->probe_ms <= now_ms && probe_is_free(&service->probe)) {
		probe_start(&service->probe, &config->notify, service, host,
			config->health_timeout_ms, now_ms);
		ready->probe_ms = READY_NEVER;
	}
	switch (probe_step(&service->probe, &config->notify, now_ms)) {
	case PROBE_GOES_ON:
		break;
	case PROBE_PASSED:
		become_ready(service, now_ms);
		break;
	case PROBE_FAILED:
		log_debug("%s: not ready: %s", config->name, service->probe.why);
		ready->probe_ms = now_ms + ready->probe_in_ms;
		ready->probe_in_ms *= 2;
		if (ready->probe_in_ms > READY_PROBE_MOST_MS)
			ready->probe_in_ms = READY_PROBE_MOST_MS;
		break;
	}
}

/* A service that memory is what makes slow has all of its time once that is over. */
static bool is_alive(struct service *service, uint64_t now_ms)
{
	struct ready *ready = &service->ready_state;
	const struct config_service *config = service->config;
	if (ready->fd < 0 || config->watchdog_ms == 0 || !service->ready)
		return true;
	if (ready->is_trouble) {
		log_notice("%s: stopped: it has told its watchdog of trouble", config->name);
		return false;
	}
	if (service_is_slowed(service) || ready->watchdog_ms == READY_NEVER)
		ready->watchdog_ms = now_ms + config->watchdog_ms;
	if (now_ms < ready->watchdog_ms)
		return true;
	log_notice("%s: stopped: its watchdog has heard nothing for %u ms", config->name,
		(unsigned)config->watchdog_ms);
	return false;
}

static bool is_up_by_time(const struct service *service)
{
	const struct config_service *config = service->config;
	bool is_followed = config->pidfile == NULL || service->follow.is_followed;
	return service->left != NULL ||
	       (config->notify.kind == CONFIG_PROBE_NONE && !config->is_oneshot && is_followed);
}

static void say_late(const struct service *service)
{
	const struct config_service *config = service->config;
	const char *why = service->probe.why;
	if (config->notify.kind == CONFIG_PROBE_NONE && !config->is_oneshot)
		log_notice("%s: stopped: it has not daemonised after %u ms, as it has a pidfile",
			config->name, (unsigned)config->start_timeout_ms);
	else if (config->is_oneshot)
		log_notice("%s: stopped: not done after %u ms", config->name,
			(unsigned)config->start_timeout_ms);
	else
		log_notice("%s: stopped: not ready after %u ms (notify = %s)%s%s", config->name,
			(unsigned)config->start_timeout_ms, config->notify.text,
			why[0] != '\0' ? ": " : "", why);
}

bool ready_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct ready *ready = &service->ready_state;
	bool runs = service->told_ms == SERVICE_NEVER;
	if (service->ready)
		return is_alive(service, now_ms);
	if (is_up_by_time(service)) {
		if (runs && now_ms >= service->ready_ms)
			become_ready(service, now_ms);
		return true;
	}
	if (runs && is_probed(config))
		probe(service, host, now_ms);
	if (service->ready || now_ms < ready->timeout_ms)
		return true;
	say_late(service);
	return false;
}

uint64_t ready_deadline_ms(const struct service *service)
{
	const struct ready *ready = &service->ready_state;
	bool runs = service->told_ms == SERVICE_NEVER;
	if (service->ready)
		return ready->fd >= 0 ? ready->watchdog_ms : READY_NEVER;
	if (is_up_by_time(service))
		return runs ? service->ready_ms : READY_NEVER;
	uint64_t due_ms = ready->timeout_ms;
	if (runs && ready->probe_ms < due_ms)
		due_ms = ready->probe_ms;
	return due_ms;
}
