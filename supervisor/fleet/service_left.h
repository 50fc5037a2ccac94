#ifndef SUPERVISOR_FLEET_SERVICE_LEFT_H
#define SUPERVISOR_FLEET_SERVICE_LEFT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/fleet/left_state.h"

/*
 * A main process that an earlier supervisor has left running, and that this one takes over.
 *
 * It is nobody's child of ours.  Its end is told by a descriptor of it (pidfd); how it ended is not
 * known, and counts as unexpected.  Signals go through that descriptor, so that they reach it or
 * nobody.  Its process group is signalled as long as no other process has its number.
 *
 * Its processes have the link of the earlier supervisor.  They ask for ours once that is silent;
 * who sleeps is woken for it, SERVICE_LEFT_WAKES times, once a second.
 *
 * From the moment that it is found until it has ended it stands in service->left.
 */

#define SERVICE_LEFT_WAKES 12U
#define SERVICE_LEFT_WAKE_MS 1000U

struct fleet;
struct loop_watch;
struct service;
struct service_host;

struct service_left {
	struct fleet *fleet;
	struct service *service;
	struct loop_watch *watch; /* of pid_fd; NULL = none, or it has told */
	int pid_fd;
	pid_t pid;
	uint64_t start_ticks;
	char link[LEFT_LINK_BYTES]; /* "" = it has none */
	char last[LEFT_LINK_BYTES]; /* the one before ours */
	uint64_t wake_ms;           /* when those who sleep are woken next */
	unsigned wakes;             /* that are still due */
	bool joined;
};

/* The process that was noted, if it still is that one.  0; -ESRCH: it is gone; or another -errno.
 */
int service_left_open(const struct left_service *noted, struct service_left **left);
void service_left_free(struct service_left *left);

/* In the place of a start. */
void service_left_begin(struct service *service, const struct service_host *host, uint64_t now_ms);

void service_left_signal(const struct service_left *left, int signal);

/* No other process has the number of its group. */
bool service_left_owns_group(const struct service_left *left);

/* Wakes who sleeps, and says when the shim has joined our link. */
void service_left_step(struct service *service, uint64_t now_ms);
uint64_t service_left_deadline_ms(const struct service_left *left);

/* Field 22 of /proc/PID/stat; 0 = it cannot be read. */
uint64_t service_left_start_ticks(pid_t pid);

/* Of the settings that make the process what it is (service_same_process). */
uint64_t service_left_mark(const struct config_service *config);

#endif
