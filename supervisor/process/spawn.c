/* Fork and exec in two steps, with the child held at a gate in between. */
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/process/privileges.h"
#include "supervisor/process/vfork_into.h"

/* Ten permille of the memory there is: more than a supervisor ever uses, so
 * that the kernel takes the service, and little enough to change nothing
 * between this service and its neighbours outside. */
#define OOM_SCORE_RAISE 10

/* systemd's: what comes with them is meant for the process with that number, which is not us. */
static const char *const pid_names[] = {"LISTEN_PID=", "WATCHDOG_PID="};
#define PID_NAMES (sizeof pid_names / sizeof pid_names[0])
#define PID_ENTRY_BYTES 32

/* All that the child needs besides struct spawn, made before the fork. */
struct preparation {
	int gate[2];
	int result[2];
	char oom_score[16];
	/* What replaces these entries in the child's copy of the environment; "" = nothing. */
	char pid_entry[PID_NAMES][PID_ENTRY_BYTES];
	struct spawn_failure
		*failure; /* of a child that borrows our memory; NULL = it has its own */
};

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

/* 0, or -errno where there is no descriptor left for a start: without /proc there is nothing to
 * set.
 */
static int prepare_oom_score(char text[static 16])
{
	int score = 0;
	char read_text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return -errno;
	if (fd >= 0) {
		if (read(fd, read_text, sizeof read_text - 1) > 0)
			score = (int)strtol(read_text, NULL, 10);
		close(fd);
	}
	score += OOM_SCORE_RAISE;
	snprintf(text, 16, "%d", score > 1000 ? 1000 : score);
	return 0;
}

/* Which of them name us. */
static void prepare_pids(const struct spawn *spawn, struct preparation *preparation)
{
	char ours[PID_ENTRY_BYTES];
	for (size_t i = 0; i < PID_NAMES; i++) {
		snprintf(ours, sizeof ours, "%s%d", pid_names[i], (int)getpid());
		preparation->pid_entry[i][0] = '\0';
		for (char **entry = spawn->environment->entries; *entry != NULL; entry++)
			if (strcmp(*entry, ours) == 0)
				snprintf(preparation->pid_entry[i], PID_ENTRY_BYTES, "%s",
					pid_names[i]);
	}
}

/* Digits without stdio. */
static void write_pid(char *text, pid_t pid)
{
	char digits[16];
	size_t count = 0;
	do {
		digits[count++] = (char)('0' + pid % 10);
		pid /= 10;
	} while (pid > 0);
	while (count > 0)
		*text++ = digits[--count];
	*text = '\0';
}

static _Noreturn void child_fail(
	const struct preparation *preparation, enum spawn_stage stage, int error)
{
	struct spawn_failure failure = {.stage = stage, .error = error};
	bool missing = stage == SPAWN_EXEC && error == -ENOENT;
	if (preparation->failure != NULL) {
		*preparation->failure = failure;
	} else {
		ssize_t ignored = write(preparation->result[1], &failure, sizeof failure);
		(void)ignored;
	}
	_exit(missing ? SPAWN_STATUS_MISSING : SPAWN_STATUS_UNUSABLE);
}

static void child_wait(const struct preparation *preparation)
{
	char go;
	ssize_t got;
	if (preparation->failure != NULL)
		return;
	close(preparation->gate[1]);
	do
		got = read(preparation->gate[0], &go, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		child_fail(preparation, SPAWN_GATE, -ECANCELED);
}

static void child_set_oom_score(const struct preparation *preparation)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t ignored = write(fd, preparation->oom_score, strlen(preparation->oom_score));
	(void)ignored;
	close(fd);
}

static void child_set_pids(char **entries, struct preparation *preparation)
{
	for (size_t i = 0; i < PID_NAMES; i++) {
		char *made = preparation->pid_entry[i];
		size_t length = strlen(pid_names[i]);
		for (char **entry = entries; made[0] != '\0' && *entry != NULL; entry++)
			if (strncmp(*entry, pid_names[i], length) == 0)
				*entry = made;
		if (made[0] != '\0')
			write_pid(made + length, getpid());
	}
}

static void child_set_stdin(void)
{
	int fd = open("/dev/null", O_RDONLY);
	if (fd > STDIN_FILENO) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
}

/* By copies, since one of them may be where the other is to go. */
static void child_set_output(const int output[2])
{
	int copy[2];
	for (int i = 0; i < 2; i++) {
		if (output[i] == SPAWN_OUTPUT_NULL)
			copy[i] = open("/dev/null", O_WRONLY | O_CLOEXEC);
		else
			copy[i] = output[i] >= 0 ? fcntl(output[i], F_DUPFD_CLOEXEC, 3) : -1;
	}
	for (int i = 0; i < 2; i++)
		if (copy[i] >= 0)
			dup2(copy[i], STDOUT_FILENO + i);
}

/* Where the failure of exec is told is not to be overwritten. */
static void child_pass(const struct spawn *spawn, struct preparation *preparation)
{
	if (spawn->passed_as == 0 || spawn->passed_fd < 0)
		return;
	if (preparation->result[1] == spawn->passed_as) {
		int moved = fcntl(preparation->result[1], F_DUPFD_CLOEXEC, spawn->passed_as + 1);
		if (moved < 0)
			child_fail(preparation, SPAWN_EXEC, -errno);
		preparation->result[1] = moved;
	}
	if (spawn->passed_fd == spawn->passed_as)
		fcntl(spawn->passed_fd, F_SETFD, 0);
	else if (dup2(spawn->passed_fd, spawn->passed_as) < 0)
		child_fail(preparation, SPAWN_EXEC, -errno);
}

static void child_become(const struct spawn *spawn, const struct preparation *preparation)
{
	int error = spawn->privileges != NULL ? privileges_limit(spawn->privileges) : 0;
	if (error != 0)
		child_fail(preparation, SPAWN_PRIVILEGES, error);
	if (spawn->account != NULL)
		error = account_become(spawn->account);
	if (error != 0)
		child_fail(preparation, SPAWN_ACCOUNT, error);
	if (spawn->privileges != NULL)
		error = privileges_take(spawn->privileges);
	if (error != 0)
		child_fail(preparation, SPAWN_PRIVILEGES, error);
}

static _Noreturn __attribute__((noinline)) void child_run(
	const struct spawn *spawn, struct preparation *preparation)
{
	if (spawn->new_session)
		setsid();
	else
		setpgid(0, 0);
	child_wait(preparation);
	if (spawn->new_session)
		ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	/* TTOU is blocked, so this works from the background too.  No terminal, or
	 * not ours, is no reason not to run. */
	if (spawn->take_terminal)
		tcsetpgrp(STDIN_FILENO, getpid());
	if (!spawn->has_oom_score)
		child_set_oom_score(preparation);
	if (spawn->start != NULL && chdir(spawn->start) != 0)
		child_fail(preparation, SPAWN_START, -errno);
	child_become(spawn, preparation);
	if (spawn->directory != NULL && chdir(spawn->directory) != 0)
		child_fail(preparation, SPAWN_DIRECTORY, -errno);
	for (size_t i = 0; i < spawn->keep_count; i++)
		fcntl(spawn->keep_fd[i], F_SETFD, 0);
	if (spawn->null_stdin)
		child_set_stdin();
	if (spawn->output != NULL)
		child_set_output(spawn->output);
	child_pass(spawn, preparation);
	if (spawn->umask != NULL)
		umask((mode_t)*spawn->umask);
	child_set_pids(spawn->environment->entries, preparation);
	if (spawn->descriptors != NULL)
		descriptors_restore(spawn->descriptors);
	signals_restore(spawn->signals);
	environ = spawn->environment->entries;
	execvp(spawn->argv[0], spawn->argv);
	child_fail(preparation, SPAWN_EXEC, -errno);
}

/* A child that has our environment's entries could not be given its number there. */
static bool may_borrow(const struct spawn *spawn, const struct preparation *preparation)
{
	for (size_t i = 0; i < PID_NAMES; i++)
		if (preparation->pid_entry[i][0] != '\0')
			return false;
	return spawn->at_once;
}

/* 0 once it has run exec, or has failed to; -EAGAIN where it is to be started in another way.  It
 * changes nothing of ours but environ and *spawned. */
static int start_borrower(
	const struct spawn *spawn, struct preparation *preparation, struct spawned *spawned)
{
	char **ours = environ;
	*spawned = (struct spawned){.gate_fd = -1, .result_fd = -1};
	preparation->failure = &spawned->failure;
	pid_t pid;
	if (spawn->has_cgroup)
		pid = vfork_into(spawn->cgroup_fd);
	else
		pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0)
		child_run(spawn, preparation); /* NOLINT(clang-analyzer-unix.Vfork) */
	int error = pid < 0 ? -EAGAIN : 0;
	preparation->failure = NULL;
	environ = ours;
	spawned->pid = pid;
	spawned->in_cgroup = spawn->has_cgroup;
	return error;
}

/* A fork whose child begins in that cgroup; -1 where the kernel or a filter does not know it.  None
 * of libc's handlers run, which the child's few calls do not need. */
static pid_t fork_into(int cgroup_fd)
{
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd};
	return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

int spawn_start(const struct spawn *spawn, struct spawned *spawned)
{
	struct preparation preparation = {.gate = {-1, -1}, .result = {-1, -1}};
	pid_t pid = -1;
	prepare_pids(spawn, &preparation);
	int error = prepare_oom_score(preparation.oom_score);
	if (error != 0)
		return error;
	if (may_borrow(spawn, &preparation) && start_borrower(spawn, &preparation, spawned) == 0)
		return 0;
	if (pipe2(preparation.gate, O_CLOEXEC) != 0 || pipe2(preparation.result, O_CLOEXEC) != 0) {
		error = -errno;
		goto out;
	}
	if (spawn->has_cgroup)
		pid = fork_into(spawn->cgroup_fd);
	bool in_cgroup = pid >= 0;
	if (!in_cgroup)
		pid = fork();
	if (pid < 0) {
		error = -errno;
		goto out;
	}
	if (pid == 0)
		child_run(spawn, &preparation);
	/* Both sides do it, so that neither has to wait for the other.  A leader of a group could
	 * not make a session any more. */
	if (!spawn->new_session)
		setpgid(pid, pid);
	fcntl(preparation.result[0], F_SETFL, O_NONBLOCK);
	*spawned = (struct spawned){.pid = pid,
		.in_cgroup = in_cgroup,
		.gate_fd = preparation.gate[1],
		.result_fd = preparation.result[0]};
	preparation.gate[1] = -1;
	preparation.result[0] = -1;
out:
	close_pair(preparation.gate);
	close_pair(preparation.result);
	return error;
}

int spawn_set_oom_score(const struct spawned *spawned, int score)
{
	char path[48];
	char text[16];
	int length = snprintf(text, sizeof text, "%d", score);
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)spawned->pid);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = write(fd, text, (size_t)length) == length ? 0 : -errno;
	close(fd);
	return error;
}

void spawn_go(struct spawned *spawned)
{
	if (spawned->gate_fd < 0)
		return;
	/* A child that was killed at the gate is noticed when it is reaped. */
	ssize_t ignored = write(spawned->gate_fd, "", 1);
	(void)ignored;
	close(spawned->gate_fd);
	spawned->gate_fd = -1;
}

int spawn_result(const struct spawned *spawned, struct spawn_failure *failure)
{
	struct spawn_failure got;
	ssize_t size;
	if (spawned->result_fd < 0) {
		*failure = spawned->failure;
		return spawned->failure.error != 0;
	}
	do
		size = read(spawned->result_fd, &got, sizeof got);
	while (size < 0 && errno == EINTR);
	if (size == 0)
		return 0;
	if (size != (ssize_t)sizeof got)
		return -EAGAIN;
	*failure = got;
	return 1;
}

void spawn_close(struct spawned *spawned)
{
	if (spawned->gate_fd >= 0)
		close(spawned->gate_fd);
	if (spawned->result_fd >= 0)
		close(spawned->result_fd);
	spawned->gate_fd = -1;
	spawned->result_fd = -1;
}
