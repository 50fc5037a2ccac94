/* Takes the children that have died. */
#include "supervisor/fleet/fleet_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "supervisor/base/log.h"

/* Whether it is known: a main process or a hook's. */
static bool note_end(struct fleet *fleet, const siginfo_t *info, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		if (hook_died(service, info->si_pid, info->si_code, info->si_status))
			return true;
		if (stage_died(service, info->si_pid, info->si_code, info->si_status))
			return true;
		if (probe_died(&service->probe, info->si_pid, info->si_code, info->si_status))
			return true;
		if (!service->lives || service->pid != info->si_pid)
			continue;
		service_died(service, &fleet->host, info->si_code, info->si_status, now_ms);
		if (fleet->wrap)
			fleet_ending_begin(fleet, now_ms);
		return true;
	}
	return false;
}

bool fleet_has_only_mains(void *context, pid_t dead)
{
	const struct fleet *fleet = context;
	/* A wrapped command is started once: who has no child then will have none. */
	if (fleet->wrap && fleet->childless)
		return true;
	pid_t *main_pid = calloc(fleet->count + 1, sizeof *main_pid);
	size_t count = 0;
	if (main_pid == NULL)
		return false;
	main_pid[count++] = dead;
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->lives)
			main_pid[count++] = fleet->service[i]->pid;
	bool only = descendants_are_known(main_pid, count);
	free(main_pid);
	return only;
}

/* A main process is looked at while it is a zombie: as long as it is one its number,
 * which is that of its group, cannot be another's. */
void fleet_reap(struct fleet *fleet, uint64_t now_ms)
{
	fleet->unreaped = false;
	for (unsigned taken = 0; taken < FLEET_REAP_MOST; taken++) {
		siginfo_t info = {0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
			fleet->childless = errno == ECHILD;
			return;
		}
		if (info.si_pid == 0) {
			fleet->childless = false;
			return;
		}
		if (!note_end(fleet, &info, now_ms) && fleet->as.tells_reaped)
			log_warn("reaped an orphan, pid %d", (int)info.si_pid);
		waitpid(info.si_pid, NULL, 0);
		fleet_ending_look(fleet);
	}
	fleet->childless = false;
	fleet->unreaped = true;
}
