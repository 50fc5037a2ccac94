/* Making threads of ours inside somebody else's process. */
#include "shim/thread.h"

#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/libc.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* A thread's stack holds the static TLS of every library too, hence the second size. */
#define STACK_BYTES ((size_t)128 * 1024)
#define STACK_LARGE_BYTES ((size_t)2 * 1024 * 1024)

/* The CPUs that the process was started with. */
static cpu_set_t start_cpus;
static bool start_cpus_known;

void thread_init(void)
{
	start_cpus_known =
		!os_is_sandboxed() && kernel_call(SYS_sched_getaffinity, 0, sizeof start_cpus,
					      (long)&start_cpus, 0, 0, 0) > 0;
}

void thread_schedule_as_process(void)
{
	static const struct sched_param ordinary;
	cpu_set_t cpus = start_cpus;

	/* musl's functions of these names only refuse. */
	if (kernel_call(SYS_sched_getscheduler, 0, 0, 0, 0, 0, 0) != SCHED_OTHER)
		(void)kernel_call(SYS_sched_setscheduler, 0, SCHED_OTHER, (long)&ordinary, 0, 0, 0);
	if (start_cpus_known &&
		kernel_call(SYS_sched_getaffinity, 0, sizeof cpus, (long)&cpus, 0, 0, 0) > 0 &&
		!CPU_EQUAL(&cpus, &start_cpus))
		(void)kernel_call(
			SYS_sched_setaffinity, 0, sizeof start_cpus, (long)&start_cpus, 0, 0, 0);
}

int thread_create(void *(*run)(void *))
{
	const struct libc_threads *threads = libc_threads();
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int error;

	if (threads == NULL)
		return ENOSYS;
	error = pthread_attr_init(&attributes);
	if (error != 0)
		return error;
	sigfillset(&all);
	/* A thread of ours that takes the program's signals is worse than none. */
	if (sigprocmask(SIG_SETMASK, &all, &before) != 0) {
		error = errno;
		pthread_attr_destroy(&attributes);
		return error;
	}
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	threads->attributes_stack(&attributes, STACK_BYTES);
	error = threads->create(&thread, &attributes, run, NULL);
	if (error == EINVAL) {
		threads->attributes_stack(&attributes, STACK_LARGE_BYTES);
		error = threads->create(&thread, &attributes, run, NULL);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}
