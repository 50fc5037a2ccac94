#ifndef SUPERVISOR_TICK_PERFORM_RECLAIM_H
#define SUPERVISOR_TICK_PERFORM_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/reclaim_worker.h"
#include "supervisor/policy/plan.h"
#include "supervisor/policy/sample.h"

/*
 * ACTION_RECLAIM made real, and told when its result is known:
 *
 *   web: reclaim: headroom 9.8M < 10.2M of 128M; asked the kernel for 8M; memory.current 128M ->
 *   120M in 4ms                                                             (one line)
 *
 * At info, but for one that brought next to nothing: that is at debug.  The thread is started for
 * the first one.  A kernel without memory.reclaim (before 5.19) is told of once.
 */

struct perform_reclaim {
	const char *base; /* the directory of all services; NULL = there are no leaves */
	bool any_dry_run; /* of a service: then nothing is asked of all together */
	bool missing;     /* the kernel does not have it, or it cannot be used */
	struct reclaim_worker *worker; /* NULL = not needed yet */
	/* What is under way: */
	bool open;
	char name[CONFIG_NAME_BYTES]; /* of the service; "" = all */
	struct reason reason;
	uint64_t asked_bytes;
};

struct tick_service;

/* Afterwards nothing is under way. */
void perform_reclaim_close(struct perform_reclaim *reclaim);

/* What policy is to know; tells of what is over. */
void perform_reclaim_settle(struct perform_reclaim *reclaim, struct reclaim_sample *sample);

void perform_reclaim_start(struct perform_reclaim *reclaim, const struct tick_service *service,
	const struct action *action);

#endif
