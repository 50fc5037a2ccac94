#ifndef SHIM_THREAD_H
#define SHIM_THREAD_H

/*
 * Threads of ours: made by pthread_create, so that libc knows them, with all signals blocked, a
 * small stack, detached.
 */

/* By the constructor: which CPUs the process was started with. */
void thread_init(void);
/* 0 or an error number: ENOSYS where no library of threads is loaded (libc.h).  It allocates and
 * may change errno. */
int thread_create(void *(*run)(void *unused));
/* A thread begins with the scheduling and the CPUs of the one that made it: the ordinary policy,
 * and the CPUs that the process was started with. */
void thread_schedule_as_process(void);

#endif
