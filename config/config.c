/* Makes, compares and frees settings. */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "config/defaults.h"

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof *config);
	config->supervisor = default_supervisor;
	config->policies[0] = default_policy;
	config->policy_count = 1;
}

/* The room doubles whenever the count is a power of two. */
struct config_service *config_service_add(struct config *config)
{
	size_t count = config->service_count;
	if ((count & (count - 1)) == 0) {
		size_t room = count == 0 ? 1 : 2 * count;
		struct config_service *grown =
			realloc(config->services, room * sizeof *config->services);
		if (grown == NULL)
			return NULL;
		config->services = grown;
	}
	config->services[count] = default_service;
	config->service_count++;
	return &config->services[count];
}

static void probe_free(struct config_probe *probe)
{
	free(probe->text);
	free(probe->path);
	command_free(probe->argv);
}

void config_service_free(struct config_service *service)
{
	command_free(service->argv);
	free(service->directory);
	free(service->user);
	free(service->target_file);
	for (size_t i = 0; i < CONFIG_STREAMS; i++)
		free(service->log[i].path);
	command_free(service->environment);
	command_free(service->on_pressure);
	command_free(service->after);
	command_free(service->requires);
	free(service->need);
	command_free(service->pre_start);
	command_free(service->post_stop);
	free(service->environment_file);
	free(service->pidfile);
	for (size_t i = 0; i < service->io_max_count; i++)
		free(service->io_max[i].path);
	free(service->io_max);
	probe_free(&service->notify);
	probe_free(&service->health);
	memset(service, 0, sizeof *service);
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		config_service_free(&config->services[i]);
	free(config->services);
	memset(config, 0, sizeof *config);
}

static bool text_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool list_equal(char *const *a, char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	for (; *a != NULL && *b != NULL; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return *a == *b;
}

static bool amount_equal(struct config_amount a, struct config_amount b)
{
	return a.bytes == b.bytes && a.permille == b.permille;
}

static bool optional_equal(struct config_optional a, struct config_optional b)
{
	return a.set == b.set && amount_equal(a.amount, b.amount);
}

static bool io_equal(const struct config_service *a, const struct config_service *b)
{
	if (a->io_max_count != b->io_max_count)
		return false;
	for (size_t i = 0; i < a->io_max_count; i++) {
		const struct config_io_max *left = &a->io_max[i];
		const struct config_io_max *right = &b->io_max[i];
		if (!text_equal(left->path, right->path) || left->major != right->major ||
			left->minor != right->minor ||
			memcmp(left->most, right->most, sizeof left->most) != 0)
			return false;
	}
	return true;
}

static bool cgroup_equal(const struct config_service *a, const struct config_service *b)
{
	return amount_equal(a->memory_max, b->memory_max) &&
	       amount_equal(a->memory_high, b->memory_high) &&
	       amount_equal(a->memory_min, b->memory_min) &&
	       amount_equal(a->memory_low, b->memory_low) &&
	       optional_equal(a->memory_swap_max, b->memory_swap_max) &&
	       optional_equal(a->memory_zswap_max, b->memory_zswap_max) &&
	       a->oom_group == b->oom_group && a->pids_max == b->pids_max &&
	       a->cpu_max_permille == b->cpu_max_permille && a->cpu_weight == b->cpu_weight &&
	       a->io_weight == b->io_weight && io_equal(a, b);
}

static bool logs_equal(const struct config_service *a, const struct config_service *b)
{
	for (size_t i = 0; i < CONFIG_STREAMS; i++)
		if (a->log[i].kind != b->log[i].kind ||
			!text_equal(a->log[i].path, b->log[i].path) ||
			a->log[i].max_bytes != b->log[i].max_bytes ||
			a->log[i].backups != b->log[i].backups)
			return false;
	return a->redirect_stderr == b->redirect_stderr;
}

/* The rest comes from the text. */
static bool probe_equal(const struct config_probe *a, const struct config_probe *b)
{
	return a->kind == b->kind && text_equal(a->text, b->text);
}

static bool care_equal(const struct config_service *a, const struct config_service *b)
{
	return a->is_oneshot == b->is_oneshot && list_equal(a->pre_start, b->pre_start) &&
	       list_equal(a->post_stop, b->post_stop) &&
	       text_equal(a->environment_file, b->environment_file) &&
	       text_equal(a->pidfile, b->pidfile) && probe_equal(&a->notify, &b->notify) &&
	       a->start_timeout_ms == b->start_timeout_ms && a->watchdog_ms == b->watchdog_ms &&
	       probe_equal(&a->health, &b->health) &&
	       a->health_interval_ms == b->health_interval_ms &&
	       a->health_timeout_ms == b->health_timeout_ms &&
	       a->health_retries == b->health_retries && a->health_start_ms == b->health_start_ms;
}

static bool life_equal(const struct config_service *a, const struct config_service *b)
{
	return a->autostart == b->autostart && a->autorestart == b->autorestart &&
	       a->backoff == b->backoff &&
	       memcmp(a->exitcodes, b->exitcodes, sizeof a->exitcodes) == 0 &&
	       a->startsecs_ms == b->startsecs_ms && a->startretries == b->startretries &&
	       a->on_exit == b->on_exit && a->priority == b->priority &&
	       list_equal(a->after, b->after) && list_equal(a->requires, b->requires) &&
	       a->stopsignal == b->stopsignal && a->stopasgroup == b->stopasgroup &&
	       a->stopwait_ms == b->stopwait_ms;
}

bool config_privileges_equal(const struct config_privileges *a, const struct config_privileges *b)
{
	return a->no_new_privs == b->no_new_privs && a->has_capabilities == b->has_capabilities &&
	       a->capabilities == b->capabilities;
}

bool config_service_equal(const struct config_service *a, const struct config_service *b)
{
	return a->is_program == b->is_program && text_equal(a->name, b->name) &&
	       list_equal(a->argv, b->argv) && text_equal(a->directory, b->directory) &&
	       text_equal(a->user, b->user) && list_equal(a->environment, b->environment) &&
	       life_equal(a, b) && care_equal(a, b) && logs_equal(a, b) &&
	       config_privileges_equal(&a->privileges, &b->privileges) &&
	       a->has_umask == b->has_umask && a->umask == b->umask &&
	       list_equal(a->on_pressure, b->on_pressure) &&
	       a->on_pressure_signal == b->on_pressure_signal &&
	       a->on_pressure_level == b->on_pressure_level && cgroup_equal(a, b) &&
	       a->has_oom_score_adj == b->has_oom_score_adj &&
	       a->oom_score_adj == b->oom_score_adj && a->memory_priority == b->memory_priority &&
	       a->last_resort == b->last_resort && a->freeze_ms == b->freeze_ms &&
	       a->dry_run == b->dry_run && a->shim == b->shim && a->allocator == b->allocator &&
	       a->runtime == b->runtime && a->runtime_limits == b->runtime_limits &&
	       text_equal(a->target_file, b->target_file);
}

bool config_service_expects(const struct config_service *service, int status)
{
	return status >= 0 && status <= UINT8_MAX &&
	       (service->exitcodes[status / 8] & (1U << (status % 8))) != 0;
}

static bool threshold_equal(const struct config_threshold *a, const struct config_threshold *b)
{
	return amount_equal(a->headroom, b->headroom) && a->time_to_wall_ms == b->time_to_wall_ms &&
	       a->pressure.kind == b->pressure.kind &&
	       a->pressure.permille == b->pressure.permille &&
	       a->pressure.window_ms == b->pressure.window_ms;
}

bool config_policy_equal(const struct config_policy *a, const struct config_policy *b)
{
	for (int level = LEVEL_LAZY; level < LEVELS; level++)
		if (!threshold_equal(&a->at[level], &b->at[level]))
			return false;
	return a->hold_ms == b->hold_ms && amount_equal(a->reserve, b->reserve) &&
	       a->gate_wait_ms == b->gate_wait_ms && amount_equal(a->brake, b->brake) &&
	       a->brake_hold_ms == b->brake_hold_ms && a->scavenge == b->scavenge &&
	       a->madvise == b->madvise && a->scavenge_cpu_permille == b->scavenge_cpu_permille &&
	       a->core_worth_bytes == b->core_worth_bytes;
}
