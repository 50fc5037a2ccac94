/* Follows the service manager's MEMORY_PRESSURE_WATCH. */
#include "shim/pressure.h"

#include "shim/gate.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/kernel.h"
#include "shim/level.h"
#include "shim/scavenger.h"
#include "shim/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WRITE_BYTES_MAX 256U

/* Copies: services write their titles over the environment. */
/* Longer ones are not watched: this is memory that every process has. */
#define WATCH_PATH_BYTES 1024U

static char watch_path[WATCH_PATH_BYTES];
static char watch_write[WRITE_BYTES_MAX / 3 * 4 + 8];
/* In case that the program closed the descriptor by which the thread is woken. */
#define POLL_S 5

static _Atomic bool ended;
/* From the start of the thread to its end. */
static _Atomic bool watching;
static _Atomic int thread_id;

/* What is watched, and how. */
struct source {
	_Atomic int fd;
	dev_t device;
	ino_t inode;
	short events;
	bool discard;
};

/* The pressure file, and a pipe by which the thread is woken to end.  The thread's, but that others
 * write to the pipe while it is open. */
static struct source pressure = {.fd = -1};
static struct source bell = {.fd = -1};

static int digit_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* Base64 text to at most WRITE_BYTES_MAX bytes: their number or -EINVAL. */
static int base64_parse(const char *text, unsigned char *bytes)
{
	size_t length = strlen(text);
	size_t count = 0;

	if (length % 4 != 0 || length / 4 * 3 > WRITE_BYTES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < length; i += 4) {
		bool last = i + 4 == length;
		size_t padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
		uint32_t value = 0;

		for (size_t j = 0; j < 4; j++) {
			int digit = j >= 4 - padding ? 0 : digit_value(text[i + j]);

			if (digit < 0)
				return -EINVAL;
			value = value << 6 | (uint32_t)digit;
		}
		for (size_t j = 0; j < 3 - padding; j++)
			bytes[count++] = (unsigned char)(value >> (16 - 8 * j));
	}
	return (int)count;
}

static int socket_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int error;
	int fd;

	if (length >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	fd = (int)kernel_call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);
	if (fd < 0)
		return fd;
	error = (int)kernel_call(SYS_connect, fd, (long)&address, sizeof address, 0, 0, 0);
	if (error != 0) {
		kernel_close(fd);
		return error;
	}
	return fd;
}

/* Regular files must be of a filesystem whose pressure files take triggers. */
static int file_check(int fd)
{
	struct statfs system;

	if (fstatfs(fd, &system) != 0)
		return -errno;
	return system.f_type == PROC_SUPER_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC ? 0
											 : -ENOTTY;
}

static int path_open(const char *path, bool writes, struct source *source)
{
	struct stat status;
	char again[32];
	int fd = kernel_open(path, O_PATH | O_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return fd;
	error = kernel_fstat(fd, &status);
	if (error != 0)
		goto out;
	if (S_ISREG(status.st_mode))
		error = file_check(fd);
	else if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode) && !S_ISSOCK(status.st_mode))
		error = -ENOTTY;
	if (error != 0)
		goto out;

	source->events = S_ISREG(status.st_mode) ? POLLPRI : POLLIN;
	source->discard = !S_ISREG(status.st_mode);
	if (S_ISSOCK(status.st_mode)) {
		source->fd = socket_open(path);
	} else {
		int mode = writes || !S_ISREG(status.st_mode) ? O_RDWR : O_RDONLY;

		snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
		source->fd = kernel_open(again, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
	}
	error = source->fd < 0 ? source->fd : 0;
out:
	kernel_close(fd);
	return error;
}

/* What is open now, so that it is known again. */
static int source_note(struct source *source)
{
	struct stat status;
	int error = kernel_fstat(source->fd, &status);

	if (error != 0)
		return error;
	source->device = status.st_dev;
	source->inode = status.st_ino;
	return 0;
}

static bool source_is_open(const struct source *source)
{
	struct stat status;

	return source->fd >= 0 && kernel_fstat(source->fd, &status) == 0 &&
	       status.st_dev == source->device && status.st_ino == source->inode;
}

static void source_close(struct source *source)
{
	if (source_is_open(source))
		kernel_close(source->fd);
	source->fd = -1;
}

/* A pipe that one descriptor reads and writes. */
static int bell_open(void)
{
	char again[32];
	int ends[2] = {-1, -1};
	int error = (int)kernel_call(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0, 0);

	if (error != 0)
		return error;
	snprintf(again, sizeof again, "/proc/self/fd/%d", ends[0]);
	bell.fd = kernel_open(again, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
	kernel_close(ends[0]);
	kernel_close(ends[1]);
	return bell.fd < 0 ? bell.fd : source_note(&bell);
}

static int source_open(struct source *source)
{
	unsigned char bytes[WRITE_BYTES_MAX];
	int count = base64_parse(watch_write, bytes);
	int error;

	if (count < 0)
		return count;
	error = path_open(watch_path, count > 0, source);
	if (error != 0)
		return error;
	if ((count > 0 && kernel_write(source->fd, bytes, (size_t)count) != count) ||
		source_note(source) != 0) {
		kernel_close(source->fd);
		source->fd = -1;
		return -EIO;
	}
	return 0;
}

/* Waits for an event or a while; false: there will be none any more. */
static bool event_wait(void)
{
	struct pollfd ready[] = {
		{.fd = pressure.fd, .events = pressure.events},
		{.fd = bell.fd, .events = POLLIN},
	};
	struct timespec timeout = {.tv_sec = POLL_S};
	char discarded[256];
	long count = kernel_call(SYS_ppoll, (long)ready, 2, (long)&timeout, 0, 0, 0);

	if (!source_is_open(&pressure))
		return false;
	if (count <= 0)
		return true;
	if ((ready[0].revents & pressure.events) == 0)
		return false;
	if (pressure.discard && kernel_read(pressure.fd, discarded, sizeof discarded) == 0)
		return false;
	if ((ready[0].revents & (POLLERR | POLLNVAL)) != 0)
		return false;
	level_pressure_note(os_now_ns());
	scavenger_ask(HEAP_EAGER);
	worker_wake();
	return true;
}

static void *watch_run(void *unused)
{
	(void)unused;
	atomic_store(&thread_id, (int)kernel_call(SYS_gettid, 0, 0, 0, 0, 0, 0));
	gate_exempt_thread();
	(void)kernel_call(SYS_prctl, PR_SET_NAME, (long)"spillway-watch", 0, 0, 0, 0);
	if (bell_open() == 0 && source_open(&pressure) == 0)
		while (!atomic_load(&ended) && event_wait())
			;
	source_close(&pressure);
	source_close(&bell);
	atomic_store(&watching, false);
	return NULL;
}

void pressure_watch_set(const char *watch, const char *write_text)
{
	if (watch == NULL || watch[0] != '/' || strcmp(watch, "/dev/null") == 0 ||
		strlen(watch) >= sizeof watch_path)
		return;
	if (write_text != NULL && strlen(write_text) >= sizeof watch_write)
		return;
	memcpy(watch_path, watch, strlen(watch) + 1);
	if (write_text != NULL)
		memcpy(watch_write, write_text, strlen(write_text) + 1);
}

void pressure_watch_start(int (*start)(void *(*run)(void *)))
{
	if (watch_path[0] == '\0' || atomic_exchange(&watching, true))
		return;
	atomic_store(&ended, false);
	atomic_store(&thread_id, 0);
	if (start(watch_run) != 0)
		atomic_store(&watching, false);
}

void pressure_watch_end(void)
{
	atomic_store(&ended, true);
	if (atomic_load(&watching) && source_is_open(&bell))
		(void)kernel_write(bell.fd, "", 1);
}

int pressure_watch_thread(void)
{
	return atomic_load(&thread_id);
}

bool pressure_watch_runs(void)
{
	return atomic_load(&watching);
}

void pressure_fork_child(void)
{
	source_close(&pressure);
	source_close(&bell);
	atomic_store(&watching, false);
	atomic_store(&thread_id, 0);
}
