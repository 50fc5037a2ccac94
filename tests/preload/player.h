#ifndef TESTS_PRELOAD_PLAYER_H
#define TESTS_PRELOAD_PLAYER_H

#include "shim/protocol.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/*
 * Plays the supervisor's end of the link for the tests in this folder: makes
 * the link, starts puppets under the library, asks them for memory, and looks
 * at what their slots and the kernel say.  TAP on stdout.
 *
 * The heartbeat that it writes is of an hour ahead, so that no puppet finds its
 * supervisor dead because this program did not get to run; heart_stop() is for
 * that.  Waits end by an event; their deadlines stretch with the load and are
 * only for what fails.
 */

#define TOKEN "00112233445566778899aabbccddeeff"
#define WAIT_S 30

struct link {
	int fd[LINK_FILES];
	struct link_header *header;
	struct link_gate *gate;
	struct link_slot *slots;
	char socket[64];
	int listener;
	char environment[256];
};

struct puppet {
	pid_t pid;
	int in;
	int out;
};

static struct link play;
static const char *player_library;
static const char *player_puppet;
static bool heart_stopped;
static int tap_count;
static int tap_failures;

static inline void tap_ok(bool passed, const char *name)
{
	tap_count++;
	tap_failures += !passed;
	printf("%sok %d - %s\n", passed ? "" : "not ", tap_count, name);
	fflush(stdout);
}

static inline void player_diag(const char *name, unsigned long long value)
{
	printf("# %s: %llu\n", name, value);
}

#define HOUR_MS 3600000U

static inline void heart_beat(void)
{
	if (!heart_stopped)
		atomic_store(
			&play.header->heartbeat_ms, (uint64_t)(check_now_s() * 1000) + HOUR_MS);
}

/*
 * The supervisor has been dead for 6 s.  To be called before what nobody must
 * attend is written: a thread that was just woken for it reads the heart at once.
 */
static inline void heart_stop(void)
{
	heart_stopped = true;
	atomic_store(&play.header->heartbeat_ms, (uint64_t)(check_now_s() * 1000) - 6000);
}

static inline uint64_t player_pid_namespace(void)
{
	struct stat status;

	CHECK(stat("/proc/self/ns/pid", &status) == 0);
	return status.st_ino;
}

static inline void *link_file_make(int *fd, size_t bytes)
{
	void *map;

	*fd = memfd_create("spillway-link", MFD_ALLOW_SEALING);
	CHECK(*fd >= 0 && ftruncate(*fd, (off_t)bytes) == 0);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	CHECK(map != MAP_FAILED);
	return map;
}

static inline void link_file_seal(int fd, int seals)
{
	CHECK(fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
}

/* The descriptors as the link in our environment. */
static inline void link_name(const int fd[LINK_FILES])
{
	struct stat status[LINK_FILES];

	for (int i = 0; i < LINK_FILES; i++)
		CHECK(fstat(fd[i], &status[i]) == 0);
	snprintf(play.environment, sizeof play.environment, "%u:%d:%llu:%llu:%d:%llu:%llu:%s:%s",
		LINK_VERSION, fd[0], (unsigned long long)status[0].st_dev,
		(unsigned long long)status[0].st_ino, fd[1], (unsigned long long)status[1].st_dev,
		(unsigned long long)status[1].st_ino, play.socket, TOKEN);
	setenv(LINK_ENVIRONMENT, play.environment, 1);
}

/* A fresh, calm and open link, in play and in our environment for the next puppet. */
static inline void link_make(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static int made;

	if (play.header != NULL) {
		munmap(play.header, LINK_HEADER_BYTES);
		munmap(play.gate, LINK_BYTES);
		close(play.fd[LINK_FILE_HEADER]);
		close(play.fd[LINK_FILE_SLOTS]);
		close(play.listener);
	}
	heart_stopped = false;
	play.header = link_file_make(&play.fd[LINK_FILE_HEADER], LINK_HEADER_BYTES);
	link_file_seal(play.fd[LINK_FILE_HEADER], F_SEAL_FUTURE_WRITE);
	play.gate = link_file_make(&play.fd[LINK_FILE_SLOTS], LINK_BYTES);
	link_file_seal(play.fd[LINK_FILE_SLOTS], 0);
	play.slots = (struct link_slot *)((char *)play.gate + LINK_PAGE_BYTES);
	play.header->magic = LINK_MAGIC;
	play.header->version = LINK_VERSION;
	play.header->sequence = 5;
	/* What idles stays until it is asked for. */
	play.header->scavenge = LINK_SCAVENGE_OFF;
	play.header->headroom_bytes = UINT64_MAX;
	play.header->pid_namespace = player_pid_namespace();
	play.header->supervisor_pid = (uint32_t)getpid();
	play.header->gate_limited = 1;
	play.gate->credit_bytes = UINT64_MAX;
	play.gate->notice_bytes = UINT64_MAX;
	heart_beat();

	play.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(play.socket, sizeof play.socket, "spillway-test-%d-%d", (int)getpid(), made++);
	memcpy(address.sun_path + 1, play.socket, strlen(play.socket));
	CHECK(bind(play.listener, (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				  strlen(play.socket))) == 0);
	CHECK(listen(play.listener, 16) == 0);

	link_name(play.fd);
}

/* Answers one request for the descriptors; whether the token was right. */
static inline bool link_answer(void)
{
	char token[100];
	char byte = 1;
	union {
		char bytes[CMSG_SPACE(sizeof play.fd)];
		struct cmsghdr aligned;
	} control;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	int s = accept(play.listener, NULL, NULL);

	if (s < 0)
		return false;
	ssize_t length = recv(s, token, sizeof token, 0);
	bool right = length == LINK_TOKEN_CHARS && memcmp(token, TOKEN, LINK_TOKEN_CHARS) == 0;
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof play.fd);
	memcpy(CMSG_DATA(part), play.fd, sizeof play.fd);
	if (right)
		right = sendmsg(s, &message, MSG_NOSIGNAL) == 1;
	close(s);
	return right;
}

/* The next line that the puppet says, "" when it said none in time. */
static inline const char *puppet_hear(struct puppet *puppet)
{
	static char line[128];
	size_t length = 0;

	while (length + 1 < sizeof line) {
		ssize_t got = -1;

		if (!WAIT_UNTIL(WAIT_S, (got = read(puppet->out, line + length, 1)) >= 0) ||
			got == 0)
			break;
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = '\0';
	return line;
}

static inline struct puppet puppet_start_by(void (*prepare)(void))
{
	struct puppet puppet;
	int in[2];
	int out[2];

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	puppet.pid = fork();
	CHECK(puppet.pid >= 0);
	if (puppet.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		if (prepare != NULL)
			prepare();
		setenv("LD_PRELOAD", player_library, 1);
		execl(player_puppet, player_puppet, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	puppet.in = in[1];
	puppet.out = out[0];
	fcntl(puppet.out, F_SETFL, O_NONBLOCK);
	return puppet;
}

static inline struct puppet puppet_start(void)
{
	struct puppet puppet = puppet_start_by(NULL);

	CHECK(strcmp(puppet_hear(&puppet), "ready") == 0);
	return puppet;
}

static inline void puppet_send(struct puppet *puppet, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void puppet_send(struct puppet *puppet, const char *format, ...)
{
	char line[128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof line - 1, format, arguments);
	va_end(arguments);
	line[length++] = '\n';
	CHECK(write(puppet->in, line, (size_t)length) == length);
}

/* Sends a command and gives the answer as a number; -1 when it is none. */
static inline long puppet_ask(struct puppet *puppet, const char *command)
{
	const char *answer;

	puppet_send(puppet, "%s", command);
	answer = puppet_hear(puppet);
	return strcmp(answer, "done") == 0 ? 0 : *answer == '\0' ? -1 : atol(answer);
}

/* Ends it; whether it did so with status 0. */
static inline bool puppet_end(struct puppet *puppet)
{
	int status = 0;

	close(puppet->in);
	if (!WAIT_UNTIL(WAIT_S, waitpid(puppet->pid, &status, WNOHANG) == puppet->pid)) {
		kill(puppet->pid, SIGKILL);
		waitpid(puppet->pid, &status, 0);
		status = -1;
	}
	close(puppet->out);
	return status == 0;
}

static inline uint32_t slots_taken(void)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < 64; i++)
		taken += atomic_load(&play.slots[i].owner) != 0;
	return taken;
}

/* The slot of a process, NULL without. */
static inline struct link_slot *slot_of(pid_t pid)
{
	for (uint32_t i = 0; i < 64; i++)
		if ((uint32_t)atomic_load(&play.slots[i].owner) == (uint32_t)pid)
			return &play.slots[i];
	return NULL;
}

/* Writes the level in force and a request (LINK_CALM: none), and wakes everybody. */
static inline uint32_t link_ask_for(uint32_t level, uint32_t release_level, uint64_t target_bytes)
{
	atomic_store(&play.header->level, level);
	atomic_store(&play.header->release_level, release_level);
	atomic_store(&play.header->target_bytes, target_bytes);
	heart_beat();
	uint32_t sequence = atomic_fetch_add(&play.header->sequence, 1) + 1;
	syscall(SYS_futex, &play.header->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return sequence;
}

/* The same for all that there is. */
static inline uint32_t link_ask(uint32_t level, uint32_t release_level)
{
	return link_ask_for(level, release_level, UINT64_MAX);
}

static inline long rss_kib(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	return check_proc_number(path, "Rss", 10);
}

static inline long lazyfree_kib(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	return check_proc_number(path, "LazyFree", 10);
}

/* arguments: the library and the puppet. */
static inline void player_init(int count, char **arguments)
{
	signal(SIGPIPE, SIG_IGN);
	if (count != 3) {
		fprintf(stderr, "usage: %s LIBRARY PUPPET\n", arguments[0]);
		exit(2);
	}
	player_library = arguments[1];
	player_puppet = arguments[2];
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");
}

static inline int player_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures == 0 ? 0 : 1;
}

#endif
