/* Tells whether other settings of a service make it another process. */
#include "supervisor/fleet/service.h"

#include <string.h>

#include "supervisor/fleet/service_output.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_list(char *const *a, char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL;
}

bool service_tells(const struct config_service *config)
{
	return config->notify.kind == CONFIG_PROBE_SYSTEMD ||
	       config->notify.kind == CONFIG_PROBE_FD;
}

static bool same_channel(const struct config_service *a, const struct config_service *b)
{
	if (!service_tells(a) && !service_tells(b))
		return true;
	return same_text(a->notify.text, b->notify.text) && a->watchdog_ms == b->watchdog_ms;
}

bool service_same_process(const struct config_service *a, const struct config_service *b)
{
	return a->is_program == b->is_program && same_list(a->argv, b->argv) &&
	       same_text(a->directory, b->directory) && same_text(a->user, b->user) &&
	       same_list(a->environment, b->environment) &&
	       same_text(a->environment_file, b->environment_file) &&
	       a->is_oneshot == b->is_oneshot && a->has_oom_score_adj == b->has_oom_score_adj &&
	       a->oom_score_adj == b->oom_score_adj && a->has_umask == b->has_umask &&
	       a->umask == b->umask && same_channel(a, b) && service_output_same(a, b) &&
	       config_privileges_equal(&a->privileges, &b->privileges) && a->shim == b->shim &&
	       a->runtime == b->runtime && a->runtime_limits == b->runtime_limits;
}
