/* Tells which processes are a service's. */
#include "supervisor/fleet/service_own.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "supervisor/fleet/service.h"
#include "supervisor/process/descendants_marked.h"
#include "supervisor/process/process_stat.h"

/* So many generations are looked at. */
#define GENERATIONS_MOST 64

static bool is_in_leaf(const struct cgroup_leaf *leaf, pid_t pid)
{
	int fd = openat(cgroup_leaf_fd(leaf), "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *list = fd >= 0 ? fdopen(fd, "r") : NULL;
	int member = 0;
	bool found = false;
	if (list == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && fscanf(list, "%d", &member) == 1)
		found = member == pid;
	fclose(list);
	return found;
}

static bool is_below_main(const struct service *service, int proc_fd, pid_t pid)
{
	struct process_stat stat;
	for (int i = 0; i < GENERATIONS_MOST && pid > 1; i++) {
		if (pid == service->pid)
			return true;
		if (process_stat_read(proc_fd, pid, &stat) != 0)
			return false;
		if (stat.group == service->pid)
			return true;
		pid = stat.parent;
	}
	return false;
}

void service_mark(const struct service *service, char text[static SERVICE_MARK_BYTES])
{
	text[0] = '\0';
	if (service->mark != 0 && service->memory.leaf == NULL)
		snprintf(text, SERVICE_MARK_BYTES, SERVICE_MARK "=%016" PRIx64 "-%s", service->mark,
			service->config->name);
}

bool service_owns(const struct service *service, pid_t pid)
{
	if (pid <= 1 || service->pid <= 1)
		return false;
	if (pid == service->pid)
		return true;
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool owns = proc_fd >= 0 && is_below_main(service, proc_fd, pid);
	if (proc_fd >= 0)
		close(proc_fd);
	char text[SERVICE_MARK_BYTES];
	service_mark(service, text);
	if (!owns && text[0] != '\0')
		return descendants_has_text(pid, text);
	return owns || (service->memory.leaf != NULL && is_in_leaf(service->memory.leaf, pid));
}
