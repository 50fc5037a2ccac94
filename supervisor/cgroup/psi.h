#ifndef SUPERVISOR_CGROUP_PSI_H
#define SUPERVISOR_CGROUP_PSI_H

#include <stdbool.h>

#include "config/config.h"

/*
 * Kernel notifications as descriptors that libevent can wait for with EV_READ.
 *
 * libevent has no EPOLLPRI, and reading is always possible on these files, so
 * each is put into an epoll descriptor of its own.  One each, because looking at a
 * PSI trigger consumes it: by the time the outer wait returns, the inner one
 * has nothing to tell any more, and the outer readiness is the message.
 *
 * A trigger and memory.events differ in what POLLERR means.  On a trigger it
 * says that the cgroup is gone, for ever, and the descriptor must be closed or the
 * loop spins.  On memory.events it comes with every change and reading re-arms it.
 */

struct psi_watch {
	int file_fd;  /* -1 = not open */
	int epoll_fd; /* what the loop waits for */
};

#define PSI_WATCH_NONE ((struct psi_watch){-1, -1})

/* A trigger on directory_fd/path: the share of the window, both as configured, with the window
 * rounded to what window_ms, the mode's shortest, allows.  -EINVAL: refused by the kernel;
 * -EBUSY, -EACCES, -EROFS, -EPERM, -ENOENT as the kernel says. */
int psi_open_trigger(struct psi_watch *watch, int directory_fd, const char *path,
	const struct config_psi *pressure, uint32_t window_ms);

/* Whether both are the same trigger; all that are off are. */
bool psi_same(const struct config_psi *a, const struct config_psi *b);

/* After the loop saw epoll_fd readable: false = the file is dead, close it. */
bool psi_trigger_alive(const struct psi_watch *watch);

/* memory.events (or any kernfs file that notifies). */
int psi_open_events(struct psi_watch *watch, int directory_fd, const char *path);

/* After the loop saw it readable: reads the file once, which re-arms it.  false = it is dead. */
bool psi_events_rearm(const struct psi_watch *watch);

void psi_close(struct psi_watch *watch);

/* "some 200000 2000000" without the NUL that must be sent with it; the length. */
int psi_trigger_text(
	char *text, size_t size, const struct config_psi *pressure, uint32_t window_ms);

#endif
