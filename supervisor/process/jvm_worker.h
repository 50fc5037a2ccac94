#ifndef SUPERVISOR_PROCESS_JVM_WORKER_H
#define SUPERVISOR_PROCESS_JVM_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/process/jvm.h"

/*
 * Commands to all JVMs of a service, sent by a thread that lives as long as that takes: a JVM
 * collects inside the command, and the loop must not wait for it.
 */

#define JVM_WORKER_COMMANDS_MAX 2
#define JVM_WORKER_REPEAT_MS 500U
#define JVM_WORKER_AVOIDED_MAX 8

/* Processes that did not answer, and are not asked again (jvm.h says why). */
struct jvm_avoided {
	size_t count;
	pid_t pid[JVM_WORKER_AVOIDED_MAX];
};

struct jvm_work {
	/* In this order; each so often, since some collectors return memory in steps, but not again
	 * once JVM_WORKER_REPEAT_MS are over: a large heap is collected once. */
	const char *command[JVM_WORKER_COMMANDS_MAX]; /* NULL = no further one; not copied */
	unsigned times[JVM_WORKER_COMMANDS_MAX];
	int procs_fd; /* a cgroup.procs, taken over; -1 = the group */
	pid_t group;
	uint64_t until_ms;
	struct jvm_avoided avoided;
};

struct jvm_done {
	unsigned jvms;         /* that have done what was asked */
	uint64_t before_bytes; /* resident in them, before and after */
	uint64_t after_bytes;
	uint64_t took_ms;
	int error; /* the last one; 0 = none; -EINPROGRESS: one was not done when the time was over
		    */
	char answer[JVM_ANSWER_BYTES];
	struct jvm_avoided avoided; /* those before, and more */
};

struct jvm_worker;

/* 0 or -errno; procs_fd is closed in any case. */
int jvm_worker_start(struct jvm_worker **worker, const struct jvm_work *work);

/* Whether it has ended; then *done is filled in and the worker is gone. */
bool jvm_worker_take(struct jvm_worker *worker, struct jvm_done *done);

/* Ends it; waits some 20 ms.  NULL does nothing. */
void jvm_worker_close(struct jvm_worker *worker);

#endif
