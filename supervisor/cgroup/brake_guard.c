/* The guard's process, and the supervisor's end of the socket to it. */

#include "supervisor/cgroup/brake_guard.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/base/clock.h"

/* Where the socket is in the guard.  All above it is closed. */
#define GUARD_FD 0

#define TABLE_FIRST 64

/* Without close_range(2): more descriptors than a supervisor has. */
#define BLIND_MAX 65536

enum message_kind { MESSAGE_SET, MESSAGE_CLEAR, MESSAGE_FORGET };

struct message {
	enum message_kind kind;
	size_t slot;
	uint64_t normal_bytes;
	uint64_t until_ms;
};

/* What the guard knows of one slot.  The brake is on until until_ms; 0 = it is off. */
struct guarded {
	int file_fd;
	uint64_t normal_bytes;
	uint64_t until_ms;
};

struct table {
	struct guarded *guarded;
	size_t count;
};

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

/* --- in the guard: async-signal-safe calls only, as the supervisor has threads ---------------- */

static void lift(struct guarded *guarded)
{
	char text[24] = "max\n";
	size_t at = sizeof text;
	const char *value = text;
	size_t length = 4;
	if (guarded->normal_bytes != UINT64_MAX) {
		uint64_t rest = guarded->normal_bytes;
		text[--at] = '\n';
		do {
			text[--at] = (char)('0' + rest % 10);
			rest /= 10;
		} while (rest > 0);
		value = text + at;
		length = sizeof text - at;
	}
	/* The cgroup may be gone by now. */
	ssize_t ignored = pwrite(guarded->file_fd, value, length, 0);
	(void)ignored;
	guarded->until_ms = 0;
}

/* Lifts what is overdue.  Milliseconds until the next one is; -1 = none is on. */
static int lift_overdue(const struct table *table, uint64_t now_ms)
{
	struct guarded *guarded = table->guarded;
	uint64_t next_ms = UINT64_MAX;
	for (size_t i = 0; i < table->count; i++) {
		if (guarded[i].until_ms == 0)
			continue;
		uint64_t due_ms = guarded[i].until_ms + BRAKE_GUARD_GRACE_MS;
		if (due_ms <= now_ms)
			lift(&guarded[i]);
		else if (due_ms - now_ms < next_ms)
			next_ms = due_ms - now_ms;
	}
	if (next_ms == UINT64_MAX)
		return -1;
	return next_ms < INT_MAX ? (int)next_ms : INT_MAX;
}

/* Room for slots up to that one.  The process was forked from one with threads, so its memory comes
 * from the kernel.  false: there is none. */
static bool make_room(struct table *table, size_t slot)
{
	size_t count = table->count == 0 ? TABLE_FIRST : table->count;
	while (count <= slot)
		count *= 2;
	if (count == table->count)
		return true;
	void *memory = mmap(NULL, count * sizeof(struct guarded), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	struct guarded *guarded = memory;
	for (size_t i = 0; i < count; i++)
		guarded[i] = i < table->count ? table->guarded[i] : (struct guarded){.file_fd = -1};
	if (table->count > 0)
		munmap(table->guarded, table->count * sizeof(struct guarded));
	*table = (struct table){guarded, count};
	return true;
}

/* false: no memory to note it. */
static bool obey(struct table *table, const struct message *message, int file_fd)
{
	if (!make_room(table, message->slot)) {
		struct guarded stray = {.file_fd = file_fd, .normal_bytes = message->normal_bytes};
		lift(&stray);
		return false;
	}
	struct guarded *guarded = &table->guarded[message->slot];
	bool close_file = message->kind == MESSAGE_FORGET || file_fd >= 0;
	if (close_file && guarded->file_fd >= 0)
		close(guarded->file_fd);
	if (close_file)
		guarded->file_fd = file_fd;
	guarded->normal_bytes = message->normal_bytes;
	guarded->until_ms = message->kind == MESSAGE_SET ? message->until_ms : 0;
	return true;
}

/* false: the supervisor is gone, or this process is of no more use: the next brake starts another.
 */
static bool take_message(struct table *table)
{
	struct message message;
	union control control = {.bytes = {0}};
	struct iovec data = {.iov_base = &message, .iov_len = sizeof message};
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t got = recvmsg(GUARD_FD, &header, MSG_CMSG_CLOEXEC);
	if (got != (ssize_t)sizeof message)
		return got < 0 && errno == EINTR;
	const struct cmsghdr *part = CMSG_FIRSTHDR(&header);
	int file_fd = -1;
	if (part != NULL && part->cmsg_type == SCM_RIGHTS)
		memcpy(&file_fd, CMSG_DATA(part), sizeof file_fd);
	return obey(table, &message, file_fd);
}

static void keep_only(int fd)
{
	dup2(fd, GUARD_FD);
	if (close_range(GUARD_FD + 1, UINT_MAX, 0) == 0)
		return;
	for (int i = GUARD_FD + 1; i < BLIND_MAX; i++)
		close(i);
}

static void guard_run(int fd)
{
	struct table table = {.count = 0};
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "spillway-guard");
	int ignored = chdir("/");
	(void)ignored;
	keep_only(fd);
	for (;;) {
		struct pollfd ready = {.fd = GUARD_FD, .events = POLLIN};
		int wait_ms = lift_overdue(&table, clock_now_ms());
		if (poll(&ready, 1, wait_ms) > 0 && !take_message(&table))
			break;
	}
	for (size_t i = 0; i < table.count; i++)
		if (table.guarded[i].until_ms != 0)
			lift(&table.guarded[i]);
	_exit(0);
}

/* --- in the supervisor ------------------------------------------------------------------------ */

int brake_guard_open(struct brake_guard *guard)
{
	int ends[2];
	int error = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		guard_run(ends[1]);
	if (pid < 0) {
		error = -errno;
		close(ends[0]);
	} else {
		guard->fd = ends[0];
	}
	close(ends[1]);
	return error;
}

void brake_guard_close(struct brake_guard *guard)
{
	if (guard->fd >= 0)
		close(guard->fd);
	guard->fd = -1;
}

static int send_message(const struct brake_guard *guard, struct message *message, int file_fd)
{
	union control control = {.bytes = {0}};
	struct iovec data = {.iov_base = message, .iov_len = sizeof *message};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	if (guard->fd < 0)
		return -EPIPE;
	if (file_fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof file_fd);
		memcpy(CMSG_DATA(part), &file_fd, sizeof file_fd);
	}
	ssize_t sent = sendmsg(guard->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == ECONNRESET)
		return -EPIPE;
	return sent < 0 ? -errno : 0;
}

int brake_guard_set(const struct brake_guard *guard, const struct brake_guard_order *order)
{
	struct message message = {.kind = MESSAGE_SET,
		.slot = order->slot,
		.normal_bytes = order->normal_bytes,
		.until_ms = order->until_ms};
	return send_message(guard, &message, order->file_fd);
}

int brake_guard_clear(const struct brake_guard *guard, size_t slot)
{
	struct message message = {.kind = MESSAGE_CLEAR, .slot = slot};
	return send_message(guard, &message, -1);
}

int brake_guard_forget(const struct brake_guard *guard, size_t slot)
{
	struct message message = {.kind = MESSAGE_FORGET, .slot = slot};
	return send_message(guard, &message, -1);
}
