/* A process table without processes: spawn, kill and wait as the tests want them. */

#include "tests/support/fake_children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/process/descendants_marked.h"
#include "supervisor/process/spawn.h"

struct fake_children fake_children;

int __wrap_spawn_start(const struct spawn *spawn, struct spawned *spawned);
void __wrap_spawn_go(struct spawned *spawned);
int __wrap_spawn_result(const struct spawned *spawned, struct spawn_failure *failure);
void __wrap_spawn_close(struct spawned *spawned);
int __wrap_kill(pid_t pid, int signal);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __wrap_descendants_signal(pid_t root, int signal);
int __wrap_descendants_terminate(pid_t root, pid_t group, struct descendants_told *told);
int __wrap_descendants_signal_marks(struct descendants_mark *mark, size_t count);

void fake_children_reset(void)
{
	memset(&fake_children, 0, sizeof fake_children);
}

struct fake_child *fake_children_add(pid_t group)
{
	if (fake_children.count == FAKE_CHILDREN_MAX) {
		fprintf(stderr, "fake_children: more than %d\n", FAKE_CHILDREN_MAX);
		abort();
	}
	struct fake_child *child = &fake_children.child[fake_children.count];
	pid_t pid = FAKE_CHILDREN_FIRST_PID + (pid_t)fake_children.count++;
	*child =
		(struct fake_child){.pid = pid, .group = group == 0 ? pid : group, .keep_count = 0};
	return child;
}

struct fake_child *fake_children_find(pid_t pid)
{
	for (size_t i = 0; i < fake_children.count; i++)
		if (fake_children.child[i].pid == pid)
			return &fake_children.child[i];
	return NULL;
}

struct fake_child *fake_children_of(const char *program)
{
	for (size_t i = fake_children.count; i-- > 0;)
		if (strcmp(fake_children.child[i].program, program) == 0)
			return &fake_children.child[i];
	return NULL;
}

static void end(struct fake_child *child, int code, int status)
{
	if (child->state != FAKE_CHILD_ALIVE)
		return;
	child->state = FAKE_CHILD_ZOMBIE;
	child->code = code;
	child->status = status;
	if (fake_children.ended != NULL)
		fake_children.ended(child->pid);
}

void fake_children_exit(struct fake_child *child, int status)
{
	end(child, CLD_EXITED, status);
}

void fake_children_killed(struct fake_child *child, int signal)
{
	end(child, CLD_KILLED, signal);
}

void fake_children_reap(struct fake_child *child)
{
	child->state = FAKE_CHILD_GONE;
}

size_t fake_children_spawned(const char *program)
{
	size_t count = 0;
	for (size_t i = 0; i < fake_children.count; i++)
		count += strcmp(fake_children.child[i].program, program) == 0;
	return count;
}

size_t fake_children_signalled(pid_t to, int signal)
{
	size_t count = 0;
	for (size_t i = 0; i < fake_children.signal_count; i++)
		count += fake_children.signal[i].to == to &&
			 fake_children.signal[i].signal == signal;
	return count;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static void copy_set(char *to, size_t size, const char *from)
{
	copy(to, size, from != NULL ? from : "-");
}

int __wrap_spawn_start(const struct spawn *spawn, struct spawned *spawned)
{
	if (fake_children.refuse_spawns > 0) {
		fake_children.refuse_spawns--;
		return fake_children.refuse_error;
	}
	struct fake_child *child = fake_children_add(0);
	copy(child->program, sizeof child->program, spawn->argv[0]);
	copy(child->preload, sizeof child->preload,
		environment_get(spawn->environment, "LD_PRELOAD"));
	copy(child->link, sizeof child->link, environment_get(spawn->environment, "SPILLWAY_LINK"));
	copy_set(child->pressure_watch, sizeof child->pressure_watch,
		environment_get(spawn->environment, "MEMORY_PRESSURE_WATCH"));
	copy_set(child->pressure_write, sizeof child->pressure_write,
		environment_get(spawn->environment, "MEMORY_PRESSURE_WRITE"));
	copy_set(child->exit_status, sizeof child->exit_status,
		environment_get(spawn->environment, "SPILLWAY_EXIT_STATUS"));
	child->keep_fd = spawn->keep_fd;
	child->keep_count = spawn->keep_count;
	child->passed_fd = spawn->passed_fd;
	child->passed_as = spawn->passed_as;
	child->ignores = fake_children.next_ignores;
	child->unkillable = fake_children.next_unkillable;
	*spawned = (struct spawned){.pid = child->pid, .gate_fd = -1, .result_fd = -1};
	return 0;
}

void __wrap_spawn_go(struct spawned *spawned)
{
	fake_children_find(spawned->pid)->went = true;
}

int __wrap_spawn_result(const struct spawned *spawned, struct spawn_failure *failure)
{
	(void)spawned;
	if (fake_children.next_failure == 0)
		return 0;
	*failure = (struct spawn_failure){SPAWN_EXEC, fake_children.next_failure};
	return 1;
}

void __wrap_spawn_close(struct spawned *spawned)
{
	spawned->gate_fd = -1;
	spawned->result_fd = -1;
}

static void deliver(struct fake_child *child, int signal)
{
	if (child->unkillable || signal == 0 || signal == SIGCONT)
		return;
	if (signal == SIGKILL || !child->ignores)
		end(child, CLD_KILLED, signal);
}

static void note(pid_t to, int signal)
{
	if (signal == 0 || fake_children.signal_count == FAKE_CHILDREN_SIGNALS_MAX)
		return;
	fake_children.signal[fake_children.signal_count].to = to;
	fake_children.signal[fake_children.signal_count++].signal = signal;
}

/* As the kernel: a zombie is found, and a group is there as long as one of it is. */
int __wrap_kill(pid_t pid, int signal)
{
	int found = 0;
	note(pid, signal);
	for (size_t i = 0; i < fake_children.count; i++) {
		struct fake_child *child = &fake_children.child[i];
		bool meant = pid < 0 ? child->group == -pid : child->pid == pid;
		if (!meant || child->state == FAKE_CHILD_GONE)
			continue;
		found++;
		deliver(child, signal);
	}
	if (found > 0)
		return 0;
	errno = ESRCH;
	return -1;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	bool any = false;
	memset(info, 0, sizeof *info);
	if ((options & WEXITED) == 0)
		return 0;
	for (size_t i = 0; i < fake_children.count; i++) {
		struct fake_child *child = &fake_children.child[i];
		if (child->state == FAKE_CHILD_GONE || (type == P_PID && child->pid != (pid_t)id))
			continue;
		any = true;
		if (child->state != FAKE_CHILD_ZOMBIE)
			continue;
		info->si_pid = child->pid;
		info->si_code = child->code;
		info->si_status = child->status;
		return 0;
	}
	if (any)
		return 0;
	errno = ECHILD;
	return -1;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	struct fake_child *child = fake_children_find(pid);
	(void)status;
	(void)options;
	if (child == NULL || child->state != FAKE_CHILD_ZOMBIE) {
		errno = ECHILD;
		return -1;
	}
	fake_children_reap(child);
	return pid;
}

int __wrap_descendants_signal(pid_t root, int signal)
{
	int count = 0;
	(void)root;
	note(0, signal);
	for (size_t i = 0; i < fake_children.count; i++) {
		if (fake_children.child[i].state != FAKE_CHILD_ALIVE)
			continue;
		deliver(&fake_children.child[i], signal);
		count++;
	}
	return count;
}

/* No forks happen here, so that nobody new is found by a second look. */
int __wrap_descendants_terminate(pid_t root, pid_t group, struct descendants_told *told)
{
	int count = 0;
	(void)root;
	(void)group;
	(void)told;
	for (size_t i = 0; i < fake_children.count; i++) {
		struct fake_child *child = &fake_children.child[i];
		if (child->state != FAKE_CHILD_ALIVE || child->told)
			continue;
		child->told = true;
		deliver(child, SIGTERM);
		count++;
	}
	if (count > 0)
		note(0, SIGTERM);
	return count;
}

int __wrap_descendants_signal_marks(struct descendants_mark *mark, size_t count)
{
	bool is_killed = false;
	fake_children.readings++;
	for (size_t i = 0; i < count; i++) {
		mark[i].count = fake_children.has_strays ? 1 : 0;
		fake_children.marks_signalled[mark[i].signal]++;
		is_killed = is_killed || mark[i].signal == SIGKILL;
	}
	fake_children.has_strays = fake_children.has_strays && !is_killed;
	return 0;
}
