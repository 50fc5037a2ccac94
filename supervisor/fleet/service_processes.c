/* Signals a service's processes, and knows whether any is left. */
#include "supervisor/fleet/service_processes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_own.h"
#include "supervisor/process/descendants_marked.h"

_Static_assert(sizeof LINK_ENVIRONMENT + 1 + LINK_VALUE_BYTES <= DESCENDANTS_TEXT_BYTES &&
		       SERVICE_MARK_BYTES <= DESCENDANTS_TEXT_BYTES,
	"a mark holds either text");

/* To the group of the main process, where it is known to be that.  0, or -1 as kill has it. */
static int signal_group(const struct service *service, int signal)
{
	if (service->pid > 1 && (service->left == NULL || service_left_owns_group(service->left)))
		return kill(-service->pid, signal);
	errno = ESRCH;
	return -1;
}

/* What tells those that have left the group, where the service has no leaf.  false: nothing does.
 */
static bool describe_strays(
	const struct service *service, int signal, struct descendants_mark *mark)
{
	char value[LINK_VALUE_BYTES];
	const struct link *link = service->memory.link;
	*mark = (struct descendants_mark){.root = service->left != NULL ? 1 : getpid(),
		.except_group = service->pid,
		.signal = signal};
	if (service->memory.leaf != NULL)
		return false;
	service_mark(service, mark->text);
	if (mark->text[0] == '\0' && link != NULL &&
		link_environment(link, value, sizeof value) == 0)
		snprintf(mark->text, sizeof mark->text, LINK_ENVIRONMENT "=%s", value);
	/* What was taken over is below the init of this place, and has the link of before. */
	if (service->left != NULL)
		snprintf(
			mark->text, sizeof mark->text, LINK_ENVIRONMENT "=%s", service->left->link);
	return mark->text[0] != '\0';
}

/* How many; signal 0 only counts. */
static int signal_strays(const struct service *service, int signal)
{
	struct descendants_mark mark;
	if (!describe_strays(service, signal, &mark) || descendants_signal_marks(&mark, 1) != 0)
		return 0;
	return mark.count;
}

/* All our children are main processes of services that live. */
static bool has_only_mains(const struct service_host *host)
{
	return host->has_only_mains != NULL && host->has_only_mains(host->context, 0);
}

/* Its main process is dead, and nothing of it has come to us.  Not so where it was taken over: that
 * leaves its orphans to another. */
static bool is_without_strays(const struct service *service, const struct service_host *host)
{
	return !service->lives && service->left == NULL && host->has_only_mains != NULL &&
	       host->has_only_mains(host->context, service->pid);
}

void service_kill_all(struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	signal_group(service, SIGKILL);
	if (leaf != NULL)
		cgroup_leaf_kill(leaf);
	else
		service->stray_signal = SIGKILL;
}

/* Sends SIGTERM exactly once to each process, because many programs treat a second one as a forced
 * stop.  Where the service has a leaf, its process group is in there and is not signalled again;
 * nor is it where it has had the stop signal. */
void service_terminate_all(struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	if (leaf != NULL && cgroup_leaf_signal(leaf, SIGTERM) > 0)
		return;
	if (!service->config->stopasgroup || service->restart.state != RESTART_STOPPING)
		signal_group(service, SIGTERM);
	if (leaf == NULL && service->stray_signal == 0)
		service->stray_signal = SIGTERM;
}

static bool is_group_gone(const struct service *service)
{
	return signal_group(service, 0) != 0 && errno == ESRCH;
}

bool service_nobody_left(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	if (service->strays != SERVICE_STRAYS_UNKNOWN)
		return service->strays == SERVICE_STRAYS_NONE;
	return is_group_gone(service) && (leaf == NULL || cgroup_leaf_empty(leaf)) &&
	       (is_without_strays(service, host) || signal_strays(service, 0) <= 0);
}

/* Its strays are all that may be left, and it waits for them. */
static bool waits_for_strays(const struct service *service)
{
	return service->pid > 1 && !service->lives && !service->leaves_rest &&
	       service->memory.leaf == NULL && !stage_runs(&service->stage) &&
	       service->follow.look_ms == FOLLOW_NEVER && is_group_gone(service);
}

/* Where the group is gone and has no stray, nobody is there who could start one: what is found
 * stays true. */
static void count_strays(struct descendants_mark *mark, size_t count)
{
	if (count == 0 || descendants_signal_marks(mark, count) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		struct service *service = mark[i].context;
		service->strays = mark[i].count > 0 ? SERVICE_STRAYS_SOME : SERVICE_STRAYS_NONE;
	}
}

void service_processes_look(
	struct service *const *service, size_t count, const struct service_host *host)
{
	size_t waiting = 0;
	size_t asked = 0;
	for (size_t i = 0; i < count; i++)
		waiting += waits_for_strays(service[i]);
	struct descendants_mark *mark = waiting > 1 ? calloc(waiting, sizeof *mark) : NULL;
	if (mark == NULL)
		return;
	bool only_mains = has_only_mains(host);
	for (size_t i = 0; i < count && asked < waiting; i++) {
		if (!waits_for_strays(service[i]))
			continue;
		if (only_mains && service[i]->left == NULL)
			service[i]->strays = SERVICE_STRAYS_NONE;
		else if (describe_strays(service[i], 0, &mark[asked]))
			mark[asked++].context = service[i];
	}
	count_strays(mark, asked);
	free(mark);
}

/* Nothing of a dead main process has come to us where all our children are main processes. */
static void drop_needless(
	struct service *const *service, size_t count, const struct service_host *host)
{
	bool only_mains = has_only_mains(host);
	for (size_t i = 0; i < count && only_mains; i++)
		if (!service[i]->lives && service[i]->left == NULL)
			service[i]->stray_signal = 0;
}

void service_processes_signal(
	struct service *const *service, size_t count, const struct service_host *host)
{
	size_t due = 0;
	size_t asked = 0;
	for (size_t i = 0; i < count; i++) {
		service[i]->strays = SERVICE_STRAYS_UNKNOWN;
		due += service[i]->stray_signal != 0;
	}
	if (due == 0)
		return;
	drop_needless(service, count, host);
	struct descendants_mark *mark = calloc(due, sizeof *mark);
	for (size_t i = 0; i < count; i++) {
		int signal = service[i]->stray_signal;
		service[i]->stray_signal = 0;
		if (signal != 0 && mark == NULL)
			signal_strays(service[i], signal);
		else if (signal != 0 && describe_strays(service[i], signal, &mark[asked]))
			asked++;
	}
	if (asked > 0)
		descendants_signal_marks(mark, asked);
	free(mark);
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
