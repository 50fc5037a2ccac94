#ifndef TESTS_SUPPORT_FAKE_CHILDREN_H
#define TESTS_SUPPORT_FAKE_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A process table without processes.
 *
 * The linker wraps spawn_start and its siblings, kill, waitid, waitpid and
 * descendants_signal, _signal_marks and _terminate (WRAP_children in the Makefile).  A spawned
 * child exists in the table below only; a signal changes its entry and is noted.  So no test that
 * uses it waits for anything, and every order of events can be made.
 *
 *   ALIVE   it runs
 *   ZOMBIE  it has ended; kill() finds it, until somebody reaps it
 *   GONE    it was reaped
 */

#define FAKE_CHILDREN_MAX 1024
#define FAKE_CHILDREN_SIGNALS_MAX 4096
#define FAKE_CHILDREN_FIRST_PID 100001

enum fake_child_state { FAKE_CHILD_ALIVE, FAKE_CHILD_ZOMBIE, FAKE_CHILD_GONE };

struct fake_child {
	pid_t pid;
	pid_t group;
	enum fake_child_state state;
	int code; /* si_code and si_status, from the end on */
	int status;
	bool ignores;    /* every signal but SIGKILL */
	bool unkillable; /* SIGKILL as well, as a process that the kernel holds */
	bool went;       /* spawn_go was called */
	bool told;       /* by descendants_terminate */
	char program[64];
	char preload[256];
	char link[256];
	char pressure_watch[256]; /* MEMORY_PRESSURE_WATCH; "-": not set */
	char pressure_write[64];
	char exit_status[16]; /* SPILLWAY_EXIT_STATUS; "-": not set */
	const int *keep_fd;
	size_t keep_count;
	int passed_fd;
	int passed_as;
};

struct fake_children {
	size_t count;
	struct fake_child child[FAKE_CHILDREN_MAX];
	size_t signal_count;
	struct {
		pid_t to; /* as kill() was given it; 0 = descendants_signal or _terminate */
		int signal;
	} signal[FAKE_CHILDREN_SIGNALS_MAX];
	int refuse_spawns; /* so many of the next spawn_start fail with refuse_error */
	int refuse_error;
	/* What the next ones that spawn are; spawn_result tells of a failure with that error. */
	bool next_ignores;
	bool next_unkillable;
	int next_failure; /* -errno; 0 = none */
	/* descendants_signal_marks: calls, marks by signal, and whether each mark has a process,
	 * which SIGKILL ends. */
	size_t readings;
	size_t marks_signalled[32];
	bool has_strays;
	/* Called when a child has ended.  NULL = nobody. */
	void (*ended)(pid_t pid);
};

extern struct fake_children fake_children;

void fake_children_reset(void);

/* A process in a group that the supervisor did not start, as a service's own child. */
struct fake_child *fake_children_add(pid_t group);

/* NULL where that pid was never given. */
struct fake_child *fake_children_find(pid_t pid);

/* The last that was spawned with that program; NULL = none. */
struct fake_child *fake_children_of(const char *program);

void fake_children_exit(struct fake_child *child, int status);
void fake_children_killed(struct fake_child *child, int signal);
void fake_children_reap(struct fake_child *child);

size_t fake_children_spawned(const char *program);

/* How often kill(to, signal) was called; to 0 = by descendants_signal or,
 * where it told anybody, descendants_terminate. */
size_t fake_children_signalled(pid_t to, int signal);

#endif
