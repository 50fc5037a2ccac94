/* What holds of any config and any errors, whatever they were read from. */
#include "tests/support/config_whole.h"

#include <string.h>

#define HOLDS(condition) \
	do { \
		if (!(condition)) \
			return #condition; \
	} while (0)

static const char *service_whole(const struct config *config, const struct config_service *service)
{
	HOLDS(service->name[0] != '\0');
	HOLDS(service->argv != NULL);
	HOLDS(service->argv[0] != NULL && service->argv[0][0] != '\0');
	HOLDS(service->policy < config->policy_count);
	HOLDS(service->stopsignal > 0 && service->stopsignal <= 64);
	HOLDS(service->directory == NULL || service->directory[0] == '/');
	for (char **pair = service->environment; pair != NULL && *pair != NULL; pair++)
		HOLDS(strchr(*pair, '=') != NULL);
	for (int i = 0; i < CONFIG_STREAMS; i++) {
		const struct config_log *log = &service->log[i];
		bool is_file = log->kind == CONFIG_LOG_FILE || log->kind == CONFIG_LOG_AUTO;
		HOLDS(is_file == (log->path != NULL));
	}
	return NULL;
}

static const char *policy_whole(const struct config_policy *policy)
{
	for (int level = LEVEL_LAZY; level < LEVELS; level++) {
		HOLDS(policy->at[level].headroom.permille <= 1000);
		HOLDS(policy->at[level].pressure.permille <= 1000);
	}
	HOLDS(policy->scavenge < CONFIG_SCAVENGES);
	HOLDS(policy->madvise < CONFIG_MADVISES);
	HOLDS(policy->scavenge_cpu_permille >= 1 && policy->scavenge_cpu_permille <= 1000);
	HOLDS(policy->core_worth_bytes >= CONFIG_CORE_WORTH_LEAST_BYTES);
	HOLDS(policy->core_worth_bytes <= CONFIG_CORE_WORTH_MOST_BYTES);
	return NULL;
}

const char *config_whole(const struct config *config)
{
	const char *wrong = NULL;
	HOLDS(config->policy_count >= 1 && config->policy_count <= CONFIG_POLICIES_MAX);
	HOLDS(strcmp(config->policies[0].name, "default") == 0);
	for (size_t i = 0; wrong == NULL && i < config->service_count; i++)
		wrong = service_whole(config, &config->services[i]);
	for (size_t i = 0; wrong == NULL && i < config->policy_count; i++)
		wrong = policy_whole(&config->policies[i]);
	return wrong;
}

const char *config_errors_whole(const struct config_errors *errors)
{
	static const char parser[] = "the INI parser";
	size_t kept = errors->count < CONFIG_ERRORS_MAX ? errors->count : CONFIG_ERRORS_MAX;
	HOLDS(errors->count > 0);
	for (size_t i = 0; i < kept; i++) {
		const struct config_error *error = &errors->error[i];
		/* The lines of several files are not one row. */
		HOLDS(i == 0 || error[-1].file[0] != '\0' || error->file[0] != '\0' ||
			error[-1].line <= error->line);
		HOLDS(error->line > 0);
		HOLDS(memchr(error->text, '\0', CONFIG_ERROR_BYTES) != NULL);
		/* inih and lines.c disagree; behind it such words may be the file's own. */
		HOLDS(strncmp(error->text, parser, sizeof parser - 1) != 0);
		for (const char *at = error->text; *at != '\0'; at++)
			HOLDS((unsigned char)*at >= ' ' || *at == '\t');
	}
	return NULL;
}
