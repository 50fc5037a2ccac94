/* Tells the service manager that has started us what we are at. */
#include "supervisor/base/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES 256

/* The watchdog is for the process that it names, if it names one. */
static uint64_t watchdog_period_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	const char *value = getenv("WATCHDOG_USEC");
	char *end;
	if (value == NULL || *value < '0' || *value > '9')
		return 0;
	if (pid != NULL && strtol(pid, NULL, 10) != getpid())
		return 0;
	errno = 0;
	unsigned long long us = strtoull(value, &end, 10);
	if (*end != '\0' || errno != 0 || us == 0)
		return 0;
	/* Twice in its time, as sd_watchdog_enabled(3) recommends. */
	return us / 2000 > 0 ? us / 2000 : 1;
}

static int set_address(struct manager *manager, const char *text)
{
	size_t length = strlen(text);
	if ((text[0] != '/' && text[0] != '@') || length < 2)
		return -EAFNOSUPPORT;
	if (length >= sizeof manager->address.sun_path)
		return -ENAMETOOLONG;
	manager->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(manager->address.sun_path, text, length);
	if (text[0] == '@')
		manager->address.sun_path[0] = '\0';
	manager->address_bytes = offsetof(struct sockaddr_un, sun_path) + length + (text[0] == '/');
	return 0;
}

int manager_open(struct manager *manager)
{
	const char *text = getenv("NOTIFY_SOCKET");
	int error = 0;
	*manager = (struct manager){.fd = -1};
	if (text == NULL || text[0] == '\0')
		return 0;
	error = set_address(manager, text);
	manager->watchdog_ms = watchdog_period_ms();
	if (error == 0)
		manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (error == 0 && manager->fd < 0)
		error = -errno;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return error;
}

void manager_close(struct manager *manager)
{
	if (manager->fd >= 0)
		close(manager->fd);
	manager->fd = -1;
}

void manager_reloads(struct manager *manager, uint64_t now_us)
{
	/* Before READY=1 a reload is a part of the start. */
	if (manager->told != MANAGER_READY)
		return;
	manager->reloads = true;
	manager->reload_us = now_us;
}

/* Whether it was sent.  After a failure all waits for a while. */
static bool send_text(struct manager *manager, const char *text, uint64_t now_ms)
{
	ssize_t sent = sendto(manager->fd, text, strlen(text), MSG_NOSIGNAL,
		(const struct sockaddr *)&manager->address, (socklen_t)manager->address_bytes);
	if (sent < 0)
		manager->retry_ms = now_ms + MANAGER_PACE_MS;
	return sent >= 0;
}

static bool send_reload(struct manager *manager, uint64_t now_ms)
{
	char text[MESSAGE_BYTES];
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager->reload_us);
	if (!send_text(manager, text, now_ms))
		return false;
	manager->reloads = false;
	manager->told = MANAGER_BUSY;
	return true;
}

/* The assignment of a state, if there is one, and the status. */
static bool send_state(
	struct manager *manager, const char *assignment, const char *status, uint64_t now_ms)
{
	char text[MESSAGE_BYTES];
	snprintf(text, sizeof text, "%sSTATUS=%.*s", assignment, MANAGER_STATUS_BYTES - 1, status);
	if (!send_text(manager, text, now_ms))
		return false;
	snprintf(manager->status, sizeof manager->status, "%s", status);
	manager->status_ms = now_ms + MANAGER_PACE_MS;
	return true;
}

static bool tell(
	struct manager *manager, enum manager_state state, const char *status, uint64_t now_ms)
{
	static const char *const assignments[] = {
		[MANAGER_READY] = "READY=1\n", [MANAGER_STOPPING] = "STOPPING=1\n"};
	if (manager->reloads && !send_reload(manager, now_ms))
		return false;
	if (state != MANAGER_BUSY && state != manager->told) {
		if (!send_state(manager, assignments[state], status, now_ms))
			return false;
		manager->told = state;
	}
	if (strcmp(status, manager->status) != 0 && now_ms >= manager->status_ms &&
		!send_state(manager, "", status, now_ms))
		return false;
	if (manager->watchdog_ms == 0 || now_ms < manager->alive_ms)
		return true;
	manager->alive_ms = now_ms + manager->watchdog_ms;
	return send_text(manager, "WATCHDOG=1", now_ms);
}

int manager_step(
	struct manager *manager, enum manager_state state, const char *status, uint64_t now_ms)
{
	if (manager->fd < 0 || now_ms < manager->retry_ms)
		return 0;
	if (tell(manager, state, status, now_ms)) {
		manager->has_failed = false;
		manager->is_behind = strcmp(status, manager->status) != 0;
		return 0;
	}
	int error = manager->has_failed ? 0 : -errno;
	manager->has_failed = true;
	return error;
}

uint64_t manager_deadline_ms(const struct manager *manager)
{
	uint64_t due_ms = UINT64_MAX;
	if (manager->fd < 0)
		return due_ms;
	if (manager->has_failed)
		return manager->retry_ms;
	if (manager->is_behind)
		due_ms = manager->status_ms;
	if (manager->watchdog_ms != 0 && manager->alive_ms < due_ms)
		due_ms = manager->alive_ms;
	return due_ms;
}
