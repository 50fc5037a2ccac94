/* Finds the process that goes on when a service daemonises. */
#include "supervisor/fleet/service_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_launch.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_own.h"
#include "supervisor/process/process_stat.h"

#define LOOK_MS 50U

void service_follow_init(struct follow *follow)
{
	*follow = (struct follow){.look_ms = FOLLOW_NEVER};
}

/* 0 = it has none.  What is no regular file is not waited for. */
static pid_t read_pidfile(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0)
		return 0;
	errno = 0;
	long pid = strtol(text, NULL, 10);
	return errno == 0 && pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static bool is_our_child(pid_t pid)
{
	struct process_stat stat;
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return false;
	int error = process_stat_read(proc_fd, pid, &stat);
	close(proc_fd);
	return error == 0 && stat.state != 'Z' && stat.parent == getpid();
}

static pid_t find(const struct service *service)
{
	pid_t told = service->ready_state.main_pid;
	const char *path = service->config->pidfile;
	pid_t pid = told;
	if (told == 0 || told == service->pid)
		pid = path != NULL ? read_pidfile(path) : 0;
	if (pid <= 1 || pid == service->pid || !is_our_child(pid) || !service_owns(service, pid))
		return 0;
	return pid;
}

static void take(struct service *service, const struct service_host *host, pid_t pid)
{
	service_tell_start(service);
	spawn_close(&service->spawned);
	log_info("%s: daemonised: follows process %d in the place of %d", service->config->name,
		(int)pid, (int)service->pid);
	service->pid = pid;
	service->lives = true;
	service->follow.is_followed = true;
	service->follow.look_ms = FOLLOW_NEVER;
	service->ready_state.main_pid = 0;
	if (host->changed != NULL) {
		service->start_ticks = service_left_start_ticks(pid);
		host->changed(host->context);
	}
}

bool service_follow_main(struct service *service, const struct service_host *host, int code,
	int status, uint64_t now_ms)
{
	struct follow *follow = &service->follow;
	bool has_file = service->config->pidfile != NULL && code == CLD_EXITED && status == 0;
	if (service->restart.state != RESTART_RUNNING || service->left != NULL ||
		follow->is_followed || (!has_file && service->ready_state.main_pid == 0))
		return false;
	pid_t pid = find(service);
	if (pid != 0) {
		take(service, host, pid);
		return true;
	}
	if (!has_file)
		return false;
	service->lives = false;
	follow->code = code;
	follow->status = status;
	follow->look_ms = now_ms + LOOK_MS;
	follow->until_ms = now_ms + FOLLOW_WAIT_MS;
	return true;
}

bool service_follow_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct follow *follow = &service->follow;
	pid_t pid = service->restart.state == RESTART_RUNNING ? find(service) : 0;
	if (pid != 0) {
		take(service, host, pid);
		return true;
	}
	if (now_ms < follow->until_ms && service->restart.state == RESTART_RUNNING) {
		follow->look_ms = now_ms + LOOK_MS;
		return true;
	}
	follow->look_ms = FOLLOW_NEVER;
	if (service->restart.state == RESTART_RUNNING)
		log_warn("%s: pidfile %s names no process of it", service->config->name,
			service->config->pidfile);
	return false;
}
