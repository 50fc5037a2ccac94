/* Signals a service's processes, and knows whether any is left. */
#include "supervisor/fleet/service_processes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_own.h"
#include "supervisor/process/descendants_marked.h"

/* To the group of the main process, where it is known to be that.  0, or -1 as kill has it. */
static int signal_group(const struct service *service, int signal)
{
	if (service->pid > 1 && (service->left == NULL || service_left_owns_group(service->left)))
		return kill(-service->pid, signal);
	errno = ESRCH;
	return -1;
}

/* Without a leaf: those that have left the group.  How many; signal 0 only counts. */
static int signal_strays(const struct service *service, int signal)
{
	char text[sizeof LINK_ENVIRONMENT + 1 + LINK_VALUE_BYTES];
	if (service->memory.leaf != NULL)
		return 0;
	char value[LINK_VALUE_BYTES];
	const struct link *link = service->memory.link;
	service_mark(service, text);
	if (text[0] == '\0' && link != NULL && link_environment(link, value, sizeof value) == 0)
		snprintf(text, sizeof text, LINK_ENVIRONMENT "=%s", value);
	/* What was taken over is below the init of this place, and has the link of before. */
	if (service->left != NULL)
		snprintf(text, sizeof text, LINK_ENVIRONMENT "=%s", service->left->link);
	if (text[0] == '\0')
		return 0;
	return descendants_signal_marked(
		service->left != NULL ? 1 : getpid(), text, service->pid, signal);
}

/* Its main process is dead, and nothing of it has come to us.  Not so where it was taken over: that
 * leaves its orphans to another. */
static bool is_without_strays(const struct service *service, const struct service_host *host)
{
	return !service->lives && service->left == NULL && host->has_only_mains != NULL &&
	       host->has_only_mains(host->context, service->pid);
}

void service_kill_all(const struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	signal_group(service, SIGKILL);
	if (leaf != NULL)
		cgroup_leaf_kill(leaf);
	signal_strays(service, SIGKILL);
}

/* Sends SIGTERM exactly once to each process, because many programs treat a second one as a forced
 * stop.  Where the service has a leaf, its process group is in there and is not signalled again;
 * nor is it where it has had the stop signal. */
void service_terminate_all(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	if (leaf != NULL && cgroup_leaf_signal(leaf, SIGTERM) > 0)
		return;
	if (!service->config->stopasgroup || service->restart.state != RESTART_STOPPING)
		signal_group(service, SIGTERM);
	if (!is_without_strays(service, host))
		signal_strays(service, SIGTERM);
}

bool service_nobody_left(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	bool group_gone = signal_group(service, 0) != 0 && errno == ESRCH;
	return group_gone && (leaf == NULL || cgroup_leaf_empty(leaf)) &&
	       (is_without_strays(service, host) || signal_strays(service, 0) <= 0);
}

void service_signal(const struct service *service, int signal)
{
	if (service->lives && service->left != NULL)
		service_left_signal(service->left, signal);
	else if (service->lives)
		kill(service->pid, signal);
}

/* A child that has not made its session yet has no group of its own. */
void service_signal_group(const struct service *service, int signal)
{
	if (service->lives && kill(-service->pid, signal) != 0)
		service_signal(service, signal);
}
