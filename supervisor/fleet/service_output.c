/* Where a service's stdout and stderr go. */
#include "supervisor/fleet/service_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/output.h"
#include "supervisor/fleet/service.h"
#include "supervisor/process/spawn.h"

#define NAME_BYTES (CONFIG_NAME_BYTES + 16)

static const char *const stream_names[] = {[CONFIG_STDOUT] = "stdout", [CONFIG_STDERR] = "stderr"};

/* Both go into one file. */
static bool is_joined(const struct config_service *config)
{
	const struct config_log *log = config->log;
	return config->redirect_stderr ||
	       (log[CONFIG_STDOUT].kind == CONFIG_LOG_FILE &&
		       log[CONFIG_STDERR].kind == CONFIG_LOG_FILE &&
		       strcmp(log[CONFIG_STDOUT].path, log[CONFIG_STDERR].path) == 0);
}

static bool is_piped(const struct config_service *config, enum config_stream stream)
{
	enum config_log_kind kind = config->log[stream].kind;
	if (stream == CONFIG_STDERR && is_joined(config))
		return false;
	return kind == CONFIG_LOG_FILE || kind == CONFIG_LOG_AUTO;
}

static struct output_file file_of(const struct config_log *log)
{
	return (struct output_file){.path = log->path,
		.max_bytes = log->max_bytes,
		.backups = (unsigned)log->backups,
		.is_ours = log->kind == CONFIG_LOG_AUTO};
}

static void name_stream(
	const struct service *service, enum config_stream stream, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%s: %s", service->config->name, stream_names[stream]);
}

static int open_pipe(struct service *service, enum config_stream stream, bool survives)
{
	struct output_file file = file_of(&service->config->log[stream]);
	char name[NAME_BYTES];
	int error = 0;
	name_stream(service, stream, name);
	if (service->output[stream] == NULL)
		error = output_new(name, &file, survives, &service->output[stream]);
	if (error == 0)
		return output_fd(service->output[stream]);
	log_warn("%s: no pipe (%s): it goes to ours", name, strerror(-error));
	service->output[stream] = NULL;
	return SPAWN_OUTPUT_OURS;
}

static int open_stream(struct service *service, enum config_stream stream, bool survives)
{
	switch (service->config->log[stream].kind) {
	case CONFIG_LOG_STDOUT:
		return STDOUT_FILENO;
	case CONFIG_LOG_STDERR:
		return STDERR_FILENO;
	case CONFIG_LOG_NONE:
		return SPAWN_OUTPUT_NULL;
	case CONFIG_LOG_AUTO:
	case CONFIG_LOG_FILE:
		return open_pipe(service, stream, survives);
	default:
		return SPAWN_OUTPUT_OURS;
	}
}

void service_output_open(struct service *service, bool survives, int output[CONFIG_STREAMS])
{
	output[CONFIG_STDOUT] = open_stream(service, CONFIG_STDOUT, survives);
	if (!is_joined(service->config))
		output[CONFIG_STDERR] = open_stream(service, CONFIG_STDERR, survives);
	else if (output[CONFIG_STDOUT] == SPAWN_OUTPUT_OURS)
		output[CONFIG_STDERR] = STDOUT_FILENO;
	else
		output[CONFIG_STDERR] = output[CONFIG_STDOUT];
}

/* The process holds a reading end, too. */
static int adopt_pipe(struct service *service, enum config_stream stream)
{
	struct output_file file = file_of(&service->config->log[stream]);
	struct stat status;
	char path[48];
	char name[NAME_BYTES];
	/* What was written before our time is not to be removed. */
	file.is_ours = false;
	name_stream(service, stream, name);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)service->pid, STDOUT_FILENO + stream);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &status) != 0 ? -errno : S_ISFIFO(status.st_mode) ? 0 : -ENOTSUP;
	if (error == 0)
		error = output_new_from(name, &file, fd, &service->output[stream]);
	if (error != 0)
		close(fd);
	return error;
}

void service_output_adopt(struct service *service)
{
	for (enum config_stream stream = 0; stream < CONFIG_STREAMS; stream++) {
		if (!is_piped(service->config, stream) || service->output[stream] != NULL)
			continue;
		int error = adopt_pipe(service, stream);
		if (error != 0)
			log_warn("%s: %s: what it writes is not taken over: %s",
				service->config->name, stream_names[stream], strerror(-error));
	}
}

static void close_stream(struct service *service, enum config_stream stream)
{
	output_free(service->output[stream]);
	service->output[stream] = NULL;
}

void service_output_renew(struct service *service)
{
	for (enum config_stream stream = 0; stream < CONFIG_STREAMS; stream++) {
		struct output_file file = file_of(&service->config->log[stream]);
		if (service->output[stream] == NULL)
			continue;
		if (!is_piped(service->config, stream))
			close_stream(service, stream);
		else if (output_set(service->output[stream], &file) != 0)
			log_warn("%s: %s: its file stays as it was: %s", service->config->name,
				stream_names[stream], strerror(ENOMEM));
	}
}

void service_output_close(struct service *service)
{
	for (enum config_stream stream = 0; stream < CONFIG_STREAMS; stream++)
		close_stream(service, stream);
}

const char *service_output_path(const struct config_service *config, enum config_stream stream)
{
	static const char *const ours[] = {
		[CONFIG_STDOUT] = "/dev/stdout", [CONFIG_STDERR] = "/dev/stderr"};
	if (stream == CONFIG_STDERR && is_joined(config))
		stream = CONFIG_STDOUT;
	switch (config->log[stream].kind) {
	case CONFIG_LOG_STDOUT:
		return ours[CONFIG_STDOUT];
	case CONFIG_LOG_STDERR:
		return ours[CONFIG_STDERR];
	case CONFIG_LOG_NONE:
		return "NONE";
	case CONFIG_LOG_AUTO:
	case CONFIG_LOG_FILE:
		return config->log[stream].path;
	default:
		return ours[stream];
	}
}

bool service_output_same(const struct config_service *a, const struct config_service *b)
{
	for (enum config_stream stream = 0; stream < CONFIG_STREAMS; stream++) {
		bool both_piped = is_piped(a, stream) && is_piped(b, stream);
		if (!both_piped && a->log[stream].kind != b->log[stream].kind)
			return false;
	}
	return is_joined(a) == is_joined(b);
}
