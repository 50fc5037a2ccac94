/* What a file asks for and this place does not have. */
#include "supervisor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_io.h"
#include "supervisor/cgroup/cgroup_settings.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/process/account.h"
#include "supervisor/process/shim_check.h"

static const char *path_of(const struct config_service *service)
{
	for (size_t i = 0; service->environment != NULL && service->environment[i] != NULL; i++)
		if (strncmp(service->environment[i], "PATH=", 5) == 0)
			return service->environment[i] + 5;
	return getenv("PATH");
}

static int check_user(const char *user)
{
	struct account account = {0};
	int error = account_resolve(user, &account);
	account_free(&account);
	return error;
}

static int check_directory(const char *directory)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* What is on a disk that only a service of the file mounts would be reported as well: it is not
 * there. */
static int check_program(const struct config_service *service)
{
	const struct shim_check look = {.program = service->argv[0],
		.path = path_of(service),
		.directory = service->directory};
	char found[PATH_MAX];
	return shim_program(&look, found);
}

static int check_disk(int root_fd, const struct config_io_max *limit)
{
	struct cgroup_io_disk disk;
	return cgroup_io_find(root_fd, limit, &disk);
}

static size_t report(const char *file, const struct config_service *service, const char *key,
	const char *value, int error, FILE *stream)
{
	if (error == 0)
		return 0;
	/* ENOENT of a user would read as if a file were meant. */
	const char *why = strcmp(key, "user") == 0 && error == -ENOENT ? "no such user"
			  : error == -ENOTBLK                          ? "not on a disk"
								       : strerror(-error);
	fprintf(stream, "%s: [service:%s] %s %s: %s\n", file, service->name, key, value, why);
	return 1;
}

static size_t check_disks(const char *file, const struct config_service *service, FILE *stream)
{
	size_t count = 0;
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < service->io_max_count; i++)
		if (service->io_max[i].path != NULL)
			count += report(file, service, "io_max", service->io_max[i].path,
				check_disk(root_fd, &service->io_max[i]), stream);
	if (root_fd >= 0)
		close(root_fd);
	return count;
}

size_t check_services(const char *file, const struct config *config, FILE *stream)
{
	size_t count = 0;
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];
		int error = 0;
		if (service->user != NULL)
			count += report(file, service, "user", service->user,
				check_user(service->user), stream);
		count += check_disks(file, service, stream);
		if (service->directory != NULL) {
			error = check_directory(service->directory);
			count += report(
				file, service, "directory", service->directory, error, stream);
		}
		/* A program is looked for where it would start. */
		if (error == 0)
			count += report(file, service, "command", service->argv[0],
				check_program(service), stream);
	}
	return count;
}

static void say(const char *file, const struct config_service *service, const char *keys,
	const char *what, FILE *stream)
{
	if (keys[0] != '\0')
		fprintf(stream, "%s: [service:%s] %s %s\n", file, service->name, keys, what);
}

static void say_without_cgroups(
	const char *file, const struct config_service *service, FILE *stream)
{
	static const char where[] = "here, where services have no cgroups of their own";
	char keys[CGROUP_SETTINGS_TEXT];
	char what[96];
	bool limited = service->memory_max.bytes != 0 || service->memory_max.permille != 0;
	snprintf(what, sizeof what, "%s %s",
		service->shim == CONFIG_SHIM_OFF ? "has no effect" : "is soft", where);
	say(file, service, limited ? "memory_max" : "", what, stream);
	snprintf(what, sizeof what, "without effect %s", where);
	cgroup_settings_asked(service, keys);
	say(file, service, keys, what, stream);
}

/* What our own cgroup has not is not there for its children. */
static bool has_controller(const struct mode *mode, const char *name)
{
	char text[512];
	char *state = NULL;
	int fd = -1;
	int length = cgroup_directory_open(mode->directory, &fd);
	if (length == 0) {
		length = cgroup_directory_read(fd, "cgroup.controllers", text, sizeof text);
		close(fd);
	}
	if (length < 0)
		return true;
	for (char *word = strtok_r(text, " \n", &state); word != NULL;
		word = strtok_r(NULL, " \n", &state))
		if (strcmp(word, name) == 0)
			return true;
	return false;
}

void check_limits(const char *file, const struct config *config, FILE *stream)
{
	struct mode mode;
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return;
	mode_probe(root_fd, &mode);
	close(root_fd);
	bool leaves = mode.letter == MODE_A || mode.letter == MODE_B;
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];
		if (!leaves)
			say_without_cgroups(file, service, stream);
		for (int j = 0; leaves && j < CGROUP_CONTROLLERS; j++) {
			char keys[CGROUP_SETTINGS_TEXT];
			char what[64];
			if (has_controller(&mode, cgroup_controller_name(j)))
				continue;
			snprintf(what, sizeof what,
				"without effect: there is no %s controller here",
				cgroup_controller_name(j));
			cgroup_settings_needing(service, j, keys);
			say(file, service, keys, what, stream);
		}
	}
}

/* Only what machine a library is for is read of it: ours are for the same one as we. */
static void say_allocator(const char *file, const struct config_service *service, FILE *stream)
{
	const struct shim_check look = {.program = service->argv[0],
		.path = path_of(service),
		.directory = service->directory,
		.shim = "/proc/self/exe"};
	struct shim_verdict verdict;
	shim_check(&look, &verdict);
	if (!verdict.load)
		return;
	fprintf(stream, "%s: [service:%s] allocator auto ", file, service->name);
	if (verdict.allocator[0] != '\0')
		fprintf(stream, "keeps what %s names, %s\n", service->argv[0], verdict.allocator);
	else
		fprintf(stream, "is " SHIM_LIBRARY ": %s names no other\n", service->argv[0]);
}

void check_say_allocators(const char *file, const struct config *config, FILE *stream)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];
		if (service->allocator == CONFIG_ALLOCATOR_AUTO && service->shim != CONFIG_SHIM_OFF)
			say_allocator(file, service, stream);
	}
}
