/* Tells processes that speak systemd's memory pressure protocol of the level of their service. */
#include "supervisor/link/pressure_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PREFIX "spillway-"
#define RANDOM_CHARS 6U
#define PATH_BYTES sizeof((struct sockaddr_un){0}.sun_path)
#define DIRECTORY_BYTES (PATH_BYTES - 16)

struct pressure_directory {
	int fd; /* locked */
	bool is_swept;
	unsigned made;
	char path[DIRECTORY_BYTES];
};

struct pressure_socket {
	int listen_fd;
	int client[PRESSURE_CLIENTS]; /* -1 = none */
	bool pressed;
	uint64_t told_ms;
	uint64_t accepted_ms;
	char path[PATH_BYTES];
};

/* Removes a directory of sockets unless its supervisor lives. */
static void remove_leftover(int base_fd, const char *name)
{
	int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	DIR *directory = flock(fd, LOCK_EX | LOCK_NB) == 0 ? fdopendir(fd) : NULL;
	if (directory == NULL) {
		close(fd);
		return;
	}
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_type == DT_SOCK)
			unlinkat(fd, entry->d_name, 0);
	unlinkat(base_fd, name, AT_REMOVEDIR);
	closedir(directory);
}

static void remove_leftovers(const char *base)
{
	DIR *directory = opendir(base);
	const struct dirent *entry;
	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		struct stat status;
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
			strlen(entry->d_name) != strlen(PREFIX) + RANDOM_CHARS ||
			fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISDIR(status.st_mode) && status.st_uid == geteuid())
			remove_leftover(dirfd(directory), entry->d_name);
	}
	closedir(directory);
}

static int make_below(struct pressure_directory *directory, const char *base)
{
	int length = snprintf(directory->path, sizeof directory->path, "%s/" PREFIX "XXXXXX", base);
	if (length < 0 || (size_t)length >= sizeof directory->path)
		return -ENAMETOOLONG;
	if (mkdtemp(directory->path) == NULL)
		return -errno;
	directory->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory->fd >= 0 && flock(directory->fd, LOCK_EX | LOCK_NB) == 0 &&
		fchmod(directory->fd, S_IRWXU | S_IXGRP | S_IXOTH) == 0)
		return 0;
	int error = -errno;
	rmdir(directory->path);
	if (directory->fd >= 0)
		close(directory->fd);
	directory->fd = -1;
	return error;
}

static bool is_in_memory(const char *base)
{
	struct statfs status;
	return statfs(base, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

/* Every start makes and removes files here, which on a disk takes as long as all else of a start.
 */
static int open_directory(struct pressure_directory **directory)
{
	const char *const bases[] = {"/run", getenv("XDG_RUNTIME_DIR"), "/dev/shm", "/tmp"};
	const size_t count = sizeof bases / sizeof bases[0];
	struct pressure_directory *made = calloc(1, sizeof *made);
	int error = -ENOENT;
	if (made == NULL)
		return -ENOMEM;
	made->fd = -1;
	for (size_t i = 0; error != 0 && i < 2 * count; i++) {
		const char *base = bases[i % count];
		bool wants_memory = i < count;
		if (base == NULL || base[0] != '/' || is_in_memory(base) != wants_memory)
			continue;
		error = make_below(made, base);
	}
	if (error == 0) {
		*directory = made;
		return 0;
	}
	if (made->fd >= 0)
		close(made->fd);
	free(made);
	return error;
}

void pressure_directory_sweep(struct pressure_directory *directory)
{
	char base[DIRECTORY_BYTES];
	if (directory == NULL || directory->is_swept)
		return;
	directory->is_swept = true;
	snprintf(base, sizeof base, "%.*s", (int)(strrchr(directory->path, '/') - directory->path),
		directory->path);
	remove_leftovers(base);
}

void pressure_directory_close(struct pressure_directory *directory)
{
	if (directory == NULL)
		return;
	rmdir(directory->path);
	close(directory->fd);
	free(directory);
}

static int listen_at(struct pressure_socket *socket_made)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, socket_made->path, sizeof address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	socket_made->listen_fd = fd;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		return -errno;
	/* For whatever user the service runs as. */
	if (chmod(socket_made->path, 0666) != 0 || listen(fd, SOMAXCONN) != 0)
		return -errno;
	return 0;
}

int pressure_socket_open(struct pressure_directory **directory, struct pressure_socket **socket)
{
	int error = *directory == NULL ? open_directory(directory) : 0;
	if (error != 0)
		return error;
	struct pressure_socket *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->listen_fd = -1;
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		made->client[i] = -1;
	snprintf(made->path, sizeof made->path, "%s/%u", (*directory)->path, ++(*directory)->made);
	error = listen_at(made);
	if (error != 0) {
		pressure_socket_close(made);
		return error;
	}
	*socket = made;
	return 0;
}

void pressure_socket_close(struct pressure_socket *socket)
{
	if (socket == NULL)
		return;
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		if (socket->client[i] >= 0)
			close(socket->client[i]);
	if (socket->listen_fd >= 0)
		close(socket->listen_fd);
	unlink(socket->path);
	free(socket);
}

const char *pressure_socket_path(const struct pressure_socket *socket)
{
	return socket->path;
}

/* Whether the other side has hung up; what it sent is dropped. */
static bool is_gone(int fd)
{
	char dropped[256];
	ssize_t got = recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
	return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* A place for one more, or PRESSURE_CLIENTS. */
static size_t find_place(struct pressure_socket *socket)
{
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		if (socket->client[i] < 0)
			return i;
	size_t place = PRESSURE_CLIENTS;
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++) {
		if (!is_gone(socket->client[i]))
			continue;
		close(socket->client[i]);
		socket->client[i] = -1;
		place = i;
	}
	return place;
}

/* A byte that finds no room is one too many. */
static void tell(int fd)
{
	ssize_t ignored = send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)ignored;
}

/* A bounded number at a time; those without a place wait in the backlog. */
static void accept_clients(struct pressure_socket *socket)
{
	for (size_t count = 0; count < PRESSURE_CLIENTS; count++) {
		size_t place = find_place(socket);
		if (place == PRESSURE_CLIENTS)
			return;
		int fd = accept4(socket->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		socket->client[place] = fd;
		if (socket->pressed)
			tell(fd);
	}
}

void pressure_socket_tell(struct pressure_socket *socket, enum level level, uint64_t now_ms)
{
	bool pressed = level >= LEVEL_LAZY;
	if (pressed || now_ms - socket->accepted_ms >= PRESSURE_AGAIN_MS) {
		accept_clients(socket);
		socket->accepted_ms = now_ms;
	}
	bool due = pressed && (!socket->pressed || now_ms - socket->told_ms >= PRESSURE_AGAIN_MS);
	socket->pressed = pressed;
	if (!due)
		return;
	socket->told_ms = now_ms;
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		if (socket->client[i] >= 0)
			tell(socket->client[i]);
}
