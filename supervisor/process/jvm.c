/* Speaks the attach protocol of HotSpot JVMs. */
#include "supervisor/process/jvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/base/clock.h"

#define LOOK_MS 20
#define STATUS_BYTES 4096
#define BLOCK_BYTES 4096
/* A JVM with many mapped jars has some thousand lines. */
#define MAPS_BYTES_MAX (8U << 20)
#define ANSWER_BYTES_MAX (64U << 10)
#define NAME_BYTES 32

/* One attempt. */
struct attach {
	const struct jvm_command *command;
	int process_fd; /* /proc/PID */
	int pid_fd;
	int tmp_fd;    /* its /tmp */
	pid_t own_pid; /* as the process knows it */
};

static ssize_t read_at(int directory_fd, const char *name, char *text, size_t size)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, size - 1);
	int error = -errno;
	close(fd);
	if (got < 0)
		return error;
	text[got] = '\0';
	return got;
}

/* Whether the file has the text, anywhere in its first bytes. */
static bool file_has(int directory_fd, const char *name, const char *text)
{
	char block[BLOCK_BYTES];
	size_t length = strlen(text);
	size_t kept = 0;
	size_t total = 0;
	bool found = false;
	ssize_t got;
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (!found && total < MAPS_BYTES_MAX &&
		(got = read(fd, block + kept, sizeof block - kept)) > 0) {
		size_t filled = kept + (size_t)got;
		found = memmem(block, filled, text, length) != NULL;
		kept = filled < length ? filled : length - 1;
		memmove(block, block + filled - kept, kept);
		total += (size_t)got;
	}
	close(fd);
	return found;
}

/* What follows the name of a line of /proc/PID/status. */
static const char *field_of(const char *status, const char *name)
{
	const char *found = strstr(status, name);
	return found != NULL && (found == status || found[-1] == '\n') ? found + strlen(name)
								       : NULL;
}

bool jvm_catches_quit(const char *status)
{
	const char *caught = field_of(status, "SigCgt:");
	return caught != NULL && (strtoull(caught, NULL, 16) & (UINT64_C(1) << (SIGQUIT - 1))) != 0;
}

pid_t jvm_own_pid(const char *status)
{
	const char *at = field_of(status, "NSpid:");
	long pid = 0;
	while (at != NULL && *at != '\n' && *at != '\0') {
		char *end;
		pid = strtol(at, &end, 10);
		if (end == at)
			return 0;
		at = end;
	}
	return (pid_t)pid;
}

static bool can_attach(struct attach *attach)
{
	char status[STATUS_BYTES];
	if (read_at(attach->process_fd, "status", status, sizeof status) <= 0)
		return false;
	attach->own_pid = jvm_own_pid(status);
	return attach->own_pid > 0 && jvm_catches_quit(status) &&
	       file_has(attach->process_fd, "maps", "/libjvm.so") &&
	       !file_has(attach->process_fd, "cmdline", "DisableAttachMechanism");
}

static int is_over(const struct jvm_command *command)
{
	if (command->stop != NULL && atomic_load(command->stop))
		return -ECANCELED;
	return clock_now_ms() >= command->until_ms ? -ETIMEDOUT : 0;
}

/* Only a socket that the process's user or root has made is talked to. */
static bool is_its_socket(const struct attach *attach, const char *name)
{
	struct stat socket_status;
	struct stat process_status;
	return fstatat(attach->tmp_fd, name, &socket_status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISSOCK(socket_status.st_mode) && fstat(attach->process_fd, &process_status) == 0 &&
	       (socket_status.st_uid == process_status.st_uid || socket_status.st_uid == 0);
}

/* A descriptor, or -errno. */
static int connect_to(const struct attach *attach)
{
	char name[NAME_BYTES];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(name, sizeof name, ".java_pid%d", (int)attach->own_pid);
	if (!is_its_socket(attach, name))
		return -ENOENT;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", attach->tmp_fd,
		name);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

/* Its /tmp.  A link in the place of /tmp is not followed: it would lead from
 * our root, not from the process's.  A descriptor, or -1 with errno. */
static int open_tmp(int process_fd)
{
	int root_fd = openat(process_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -1;
	int tmp_fd = openat(root_fd, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int error = errno;
	close(root_fd);
	errno = error;
	return tmp_fd;
}

static int open_cwd(int process_fd)
{
	return openat(process_fd, "cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The file that tells a SIGQUIT that attaching is meant from one that asks for a dump.  The
 * descriptor of the directory that it was made in, or -errno. */
static int make_trigger(const struct attach *attach, const char *name)
{
	int error = 0;
	int (*const places[])(int process_fd) = {open_tmp, open_cwd};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		int place_fd = places[i](attach->process_fd);
		int fd = openat(
			place_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		error = -errno;
		if (fd >= 0) {
			close(fd);
			return place_fd;
		}
		if (place_fd >= 0)
			close(place_fd);
	}
	return error;
}

static int signal_and_connect(const struct attach *attach)
{
	struct pollfd ended = {.fd = attach->pid_fd, .events = POLLIN};
	if (syscall(SYS_pidfd_send_signal, attach->pid_fd, SIGQUIT, NULL, 0) != 0)
		return -errno;
	for (;;) {
		int fd = poll(&ended, 1, LOOK_MS) != 0 ? -ESRCH : connect_to(attach);
		if (fd >= 0 || fd == -ESRCH)
			return fd;
		int error = is_over(attach->command);
		if (error != 0)
			return error;
	}
}

/* Has the JVM listen.  A descriptor that is connected, or -errno. */
static int wake(const struct attach *attach)
{
	char name[NAME_BYTES];
	snprintf(name, sizeof name, ".attach_pid%d", (int)attach->own_pid);
	int place_fd = make_trigger(attach, name);
	/* EEXIST: somebody else attaches just now. */
	if (place_fd < 0 && place_fd != -EEXIST)
		return place_fd;
	int result = signal_and_connect(attach);
	if (place_fd >= 0) {
		unlinkat(place_fd, name, 0);
		close(place_fd);
	}
	return result;
}

/* Waits until the descriptor is ready.  0 or -errno. */
static int await(int fd, short events, const struct jvm_command *command)
{
	struct pollfd ready = {.fd = fd, .events = events};
	for (;;) {
		int count = poll(&ready, 1, LOOK_MS);
		if (count > 0)
			return 0;
		int error = count < 0 && errno != EINTR ? -errno : is_over(command);
		if (error != 0)
			return error;
	}
}

static int ask(int fd, const struct jvm_command *command)
{
	char request[64];
	int length = snprintf(
		request, sizeof request, "1%cjcmd%c%s%c%c%c", 0, 0, command->command, 0, 0, 0);
	if (length < 0 || (size_t)length >= sizeof request)
		return -EINVAL;
	int error = await(fd, POLLOUT, command);
	if (error != 0)
		return error;
	/* So few bytes go at once, or not at all. */
	return send(fd, request, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -EPIPE;
}

/* The first bytes of what comes until the stream ends: the command is over then. */
static int hear(int fd, const struct jvm_command *command, char answer[static JVM_ANSWER_BYTES])
{
	char block[BLOCK_BYTES];
	size_t kept = 0;
	for (size_t total = 0; total < ANSWER_BYTES_MAX;) {
		int error = await(fd, POLLIN, command);
		ssize_t got = error == 0 ? recv(fd, block, sizeof block, 0) : error;
		if (error != 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return error != 0 ? error : -errno;
		if (got == 0)
			break;
		if (got < 0)
			continue;
		size_t room = JVM_ANSWER_BYTES - 1 - kept;
		size_t more = (size_t)got < room ? (size_t)got : room;
		memcpy(answer + kept, block, more);
		kept += more;
		total += (size_t)got;
	}
	answer[kept] = '\0';
	return 0;
}

/* The number is taken off, and the first line of the text is left. */
static int read_answer(char answer[static JVM_ANSWER_BYTES])
{
	char *end;
	long status = strtol(answer, &end, 10);
	if (end == answer || *end != '\n')
		return -EPROTO;
	memmove(answer, end + 1, strlen(end + 1) + 1);
	answer[strcspn(answer, "\n")] = '\0';
	for (char *at = answer; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return status == 0 ? 0 : -EPROTO;
}

static int talk(struct attach *attach, char answer[static JVM_ANSWER_BYTES])
{
	if (!can_attach(attach))
		return -ENOEXEC;
	attach->tmp_fd = open_tmp(attach->process_fd);
	if (attach->tmp_fd < 0)
		return -errno;
	int fd = connect_to(attach);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		fd = wake(attach);
	int error = fd < 0 ? fd : ask(fd, attach->command);
	if (error == 0)
		error = hear(fd, attach->command, answer);
	if (error == -ETIMEDOUT && fd >= 0)
		error = -EINPROGRESS;
	if (error == 0)
		error = read_answer(answer);
	if (fd >= 0)
		close(fd);
	close(attach->tmp_fd);
	return error;
}

int jvm_command(const struct jvm_command *command, char answer[static JVM_ANSWER_BYTES])
{
	char path[NAME_BYTES];
	struct attach attach = {.command = command};
	answer[0] = '\0';
	attach.pid_fd = (int)syscall(SYS_pidfd_open, command->pid, 0);
	if (attach.pid_fd < 0)
		return -errno;
	snprintf(path, sizeof path, "/proc/%d", (int)command->pid);
	attach.process_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = attach.process_fd < 0 ? -errno : talk(&attach, answer);
	if (attach.process_fd >= 0)
		close(attach.process_fd);
	close(attach.pid_fd);
	return error;
}
