/* PSI triggers and memory.events as descriptors that an event loop can wait for. */
#include "supervisor/cgroup/psi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WINDOW_MAX_MS 10000U
#define WINDOW_MIN_MS 500U

/* Without CAP_SYS_RESOURCE windows are multiples of 2 s, otherwise anything from 500 ms on.  What
 * lies between is rounded up, with the same share of it stalled. */
static uint32_t round_window(uint32_t wanted_ms, uint32_t window_ms)
{
	uint32_t step_ms = window_ms > WINDOW_MIN_MS ? window_ms : 1;
	if (wanted_ms < window_ms)
		wanted_ms = window_ms;
	if (wanted_ms > WINDOW_MAX_MS)
		wanted_ms = WINDOW_MAX_MS;
	return (wanted_ms + step_ms - 1) / step_ms * step_ms;
}

int psi_trigger_text(char *text, size_t size, const struct config_psi *pressure, uint32_t window_ms)
{
	uint64_t window_us = (uint64_t)round_window(pressure->window_ms, window_ms) * 1000;
	uint64_t permille = pressure->permille < 1000 ? pressure->permille : 1000;
	return snprintf(text, size, "%s %llu %llu",
		pressure->kind == CONFIG_PSI_FULL ? "full" : "some",
		(unsigned long long)(window_us * permille / 1000), (unsigned long long)window_us);
}

bool psi_same(const struct config_psi *a, const struct config_psi *b)
{
	if (a->permille == 0 || b->permille == 0)
		return a->permille == b->permille;
	return a->kind == b->kind && a->permille == b->permille && a->window_ms == b->window_ms;
}

static int open_inner(struct psi_watch *watch, int file_fd)
{
	struct epoll_event event = {.events = EPOLLPRI};
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, file_fd, &event) != 0) {
		int error = -errno;
		close(epoll_fd);
		return error;
	}
	watch->file_fd = file_fd;
	watch->epoll_fd = epoll_fd;
	return 0;
}

int psi_open_trigger(struct psi_watch *watch, int directory_fd, const char *path,
	const struct config_psi *pressure, uint32_t window_ms)
{
	char text[64];
	int length = psi_trigger_text(text, sizeof text, pressure, window_ms);
	int fd = openat(directory_fd, path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int error = 0;
	/* With its NUL: /proc/pressure/memory overwrites the last byte it is given. */
	if (write(fd, text, (size_t)length + 1) < 0)
		error = -errno;
	else
		error = open_inner(watch, fd);
	if (error != 0)
		close(fd);
	return error;
}

bool psi_trigger_alive(const struct psi_watch *watch)
{
	struct epoll_event event;
	struct pollfd file = {.fd = watch->file_fd, .events = POLLPRI};
	epoll_wait(watch->epoll_fd, &event, 1, 0);
	return poll(&file, 1, 0) < 0 || (file.revents & (POLLERR | POLLNVAL)) == 0;
}

int psi_open_events(struct psi_watch *watch, int directory_fd, const char *path)
{
	int fd = openat(directory_fd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int error = open_inner(watch, fd);
	if (error != 0) {
		close(fd);
		return error;
	}
	/* A file that was never read counts as changed. */
	if (!psi_events_rearm(watch)) {
		psi_close(watch);
		return -ENODEV;
	}
	return 0;
}

bool psi_events_rearm(const struct psi_watch *watch)
{
	struct epoll_event event;
	char text[512];
	bool alive = pread(watch->file_fd, text, sizeof text, 0) >= 0;
	epoll_wait(watch->epoll_fd, &event, 1, 0);
	return alive;
}

void psi_close(struct psi_watch *watch)
{
	if (watch->epoll_fd >= 0)
		close(watch->epoll_fd);
	if (watch->file_fd >= 0)
		close(watch->file_fd);
	*watch = PSI_WATCH_NONE;
}
