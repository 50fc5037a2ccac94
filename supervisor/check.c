/* What a file asks for and this place does not have. */
#include "supervisor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static size_t report(const char *file, const struct config_service *service, const char *key,
	const char *value, int error, FILE *stream)
{
	if (error == 0)
		return 0;
	/* ENOENT of a user would read as if a file were meant. */
	const char *why =
		strcmp(key, "user") == 0 && error == -ENOENT ? "no such user" : strerror(-error);
	fprintf(stream, "%s: [service:%s] %s %s: %s\n", file, service->name, key, value, why);
	return 1;
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
