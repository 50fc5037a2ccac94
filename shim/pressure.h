#ifndef SHIM_PRESSURE_H
#define SHIM_PRESSURE_H

#include <stdbool.h>

/*
 * Standalone, the shim listens to the service manager: the protocol of
 * systemd's memory pressure documentation (MEMORY_PRESSURE_WATCH,
 * MEMORY_PRESSURE_WRITE).  Each event asks the scavenger for an eager release,
 * and eager is in force for some seconds (level.h).
 *
 * The file is opened and watched by a thread of its own, started beside the
 * worker.  A service may close the descriptor and get its number again for
 * something else, so it is compared by device and inode before each use.  So is the pipe by which
 * the thread is woken to end; where the service closed that it takes some seconds.
 */

/* Keeps copies of the two variables' values, NULL where there is none. */
void pressure_watch_set(const char *watch, const char *write);
/* start makes a thread: 0 or an error number.  Does nothing where there is nothing to watch, and
 * where the thread is there. */
void pressure_watch_start(int (*start)(void *(*run)(void *)));
/* Tells the thread to end; may be repeated. */
void pressure_watch_end(void);
/* Whether the thread was started and has not come to its end. */
bool pressure_watch_runs(void);
/* The id of the last one that began; 0: none. */
int pressure_watch_thread(void);
/* In a forked child, where the thread is not. */
void pressure_fork_child(void);

#endif
