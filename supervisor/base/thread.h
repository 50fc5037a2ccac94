#ifndef SUPERVISOR_BASE_THREAD_H
#define SUPERVISOR_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread of ours: with a small stack, and with all signals blocked, since signals are the
 * loop's.  0 or -errno. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
