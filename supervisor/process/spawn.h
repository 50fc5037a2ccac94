#ifndef SUPERVISOR_PROCESS_SPAWN_H
#define SUPERVISOR_PROCESS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"
#include "supervisor/process/account.h"
#include "supervisor/process/descriptors.h"
#include "supervisor/process/environment.h"
#include "supervisor/process/signals.h"

/*
 * Fork and exec in two steps, with the child held at a gate in between, so that
 * it is in its cgroup before it runs a single instruction of its own:
 *
 *   spawn_start   the child exists, in a process group of its own, and waits
 *   (attach it, unless spawned says that it was made in its cgroup)
 *   spawn_go      it goes on to exec
 *
 * A child is made in its cgroup with CLONE_INTO_CGROUP, which is Linux 5.7's.  Moving one there
 * afterwards waits for a grace period of RCU: 10 ms against 0.13 ms.
 *
 * What keeps it from running comes back over a pipe that exec closes.  Between
 * fork and exec only async-signal-safe calls are made; all lookups, formatting
 * and allocation are done before.
 *
 * Where the caller does nothing at the gate (at_once) there is neither gate nor pipe: the child
 * borrows our memory, as vfork has it, so that no page tables are copied, and spawn_start() returns
 * when it has run exec or failed to.  All threads but the caller's go on meanwhile.  A program that
 * takes its time to be read (a file server that does not answer) holds the caller up as well, so
 * this is for callers that have nothing else to look after.
 */

struct spawn {
	char *const *argv; /* argv[0] is looked up in the child's own PATH */
	const struct environment
		*environment;  /* whole; LISTEN_PID and WATCHDOG_PID are adapted if they are us */
	const char *start;     /* where it starts from; NULL = where we are */
	const char *directory; /* from there, as the account; NULL = stay */
	const struct account *account;              /* NULL = stay */
	const struct config_privileges *privileges; /* NULL = ours */
	const struct signals *signals;              /* what the child gets back */
	const struct descriptors *descriptors;      /* whose limit it gets back; NULL = stay */
	const int *keep_fd;                         /* left open over exec though CLOEXEC */
	size_t keep_count;
	int passed_fd;      /* where passed_as is not 0: becomes that descriptor; -1 = none */
	int passed_as;      /* 3 or higher, and none of keep_fd */
	bool has_oom_score; /* the caller gives it one: spawn_set_oom_score */
	const int *umask;   /* NULL = ours */
	const int *output;  /* two: what becomes its stdout and stderr; NULL = ours */
	bool null_stdin;    /* it reads /dev/null and not what we do */
	bool take_terminal; /* its group becomes the terminal's foreground */
	bool new_session;   /* it leads a session, whose terminal is that of stdin if it is free */
	bool has_cgroup;
	int cgroup_fd; /* of its cgroup's directory, where has_cgroup */
	bool at_once;  /* it need not wait at the gate; nothing in its cgroup may hold it up */
};

/* In output[], for a descriptor: it keeps ours; it writes to /dev/null. */
#define SPAWN_OUTPUT_OURS (-1)
#define SPAWN_OUTPUT_NULL (-2)

/* How far a child came that could not run. */
enum spawn_stage {
	SPAWN_GATE,
	SPAWN_START,
	SPAWN_PRIVILEGES,
	SPAWN_ACCOUNT,
	SPAWN_DIRECTORY,
	SPAWN_EXEC
};

struct spawn_failure {
	enum spawn_stage stage;
	int error; /* -errno */
};

/* Owns two descriptors until spawn_close.  Of a child that did not wait at the gate both are -1. */
struct spawned {
	pid_t pid;
	bool in_cgroup; /* else it is to be attached */
	int gate_fd;
	int result_fd;                /* readable: it has run exec, or failed to */
	struct spawn_failure failure; /* without result_fd; error 0 = it has run exec */
};

/* 127 for a program that is not there, 126 for one that cannot be run. */
#define SPAWN_STATUS_MISSING 127
#define SPAWN_STATUS_UNUSABLE 126

/* 0 or -errno. */
int spawn_start(const struct spawn *spawn, struct spawned *spawned);
void spawn_go(struct spawned *spawned);

/* While the child waits at the gate.  0 or -errno: lowering it takes CAP_SYS_RESOURCE. */
int spawn_set_oom_score(const struct spawned *spawned, int score);

/* 1 and the failure; 0 once exec has succeeded; -EAGAIN before either. */
int spawn_result(const struct spawned *spawned, struct spawn_failure *failure);

/* A child still at the gate ends. */
void spawn_close(struct spawned *spawned);

#endif
