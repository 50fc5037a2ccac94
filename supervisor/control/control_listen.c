/* The sockets that control listens at. */
#include "supervisor/control/control_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/control/control.h"

#define BACKLOG 16

/* Somebody accepts connections there. */
static bool is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered =
		fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
				   errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	return answered;
}

static void make_directory(const char *path)
{
	char directory[CONTROL_PATH_BYTES];
	snprintf(directory, sizeof directory, "%s", path);
	char *slash = strrchr(directory, '/');
	if (slash == NULL || slash == directory)
		return;
	*slash = '\0';
	/* What hinders is said by bind. */
	mkdir(directory, 0700);
}

/* Between bind and listen nobody can connect, so the mode is right before anybody may. */
static int bind_to(int fd, const struct sockaddr_un *address)
{
	if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
		if (errno != EADDRINUSE)
			return -errno;
		if (is_answered(address))
			return -EADDRINUSE;
		unlink(address->sun_path);
		if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
			return -errno;
	}
	if (chmod(address->sun_path, 0600) == 0 && listen(fd, BACKLOG) == 0)
		return 0;
	int error = -errno;
	unlink(address->sun_path);
	return error;
}

int control_listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	make_directory(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = bind_to(fd, &address);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int control_listen_tcp(const struct sockaddr *address, socklen_t length)
{
	int yes = 1;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Connections of an earlier supervisor may still be winding down there. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, address, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}
