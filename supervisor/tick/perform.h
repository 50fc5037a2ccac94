#ifndef SUPERVISOR_TICK_PERFORM_H
#define SUPERVISOR_TICK_PERFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/brake_worker.h"
#include "supervisor/policy/plan.h"
#include "supervisor/tick/perform_reclaim.h"

/*
 * A plan made real, by one switch, and the decision log.
 *
 * A decision is one line, written when its result is known: a release when every
 * process that could answer has answered, or after PERFORM_ANSWER_MS; all else
 * at once.  It says the service, the level, the number that crossed which threshold, what was
 * asked and what came back:
 *
 *   web: eager (was lazy): headroom 18.2M < 25.6M of 256M; asked 12M of 1 of 2 processes;
 *   returned 11.8M in 7ms at 310ns a page (memory.current 241M -> 229M)    (one line)
 *
 * Of a service with dry_run nothing is done, and the line says what would be:
 *
 *   web: dry run: would ask 12M of 2 processes: eager (was lazy): headroom 18.2M < 25.6M of 256M
 *
 * What the operator asks for by hand is done all the same: it is no decision of ours.
 *
 * At info, but for a request that repeats what is in force and finds nothing: a
 * service that has nothing to give is asked every two seconds for as long as it
 * lasts.  That is at debug.
 */

#define PERFORM_ANSWER_MS 1000

/* A release that was asked for and has not been reported yet. */
struct perform_ask {
	bool open;
	enum level level;
	enum level previous; /* the same, unless the level changed in the same plan */
	struct reason reason;
	uint64_t target_bytes;
	uint64_t asked_ms;
	uint32_t processes; /* that can answer */
	uint32_t spared;    /* of these, that are asked for nothing */
	uint64_t returned_before_bytes;
	uint64_t usage_before_bytes;
};

/* What is kept of one service; part of that service. */
struct perform_service {
	struct perform_ask ask;
	uint64_t releases[LEVELS];
	uint64_t brakes;
	bool frozen;
	uint64_t frozen_ms; /* since */
	bool ends;          /* as the last resort */
	bool ended;         /* and is gone, which is to be told */
	uint64_t ends_ms;
	/* What is known at this moment, for the log: set before every call. */
	uint64_t usage_bytes; /* as an operator would read it */
	bool usage_shared;    /* it is that of all services together */
	/* The change of level in the plan that is performed. */
	bool changed;
	enum level previous;
};

struct tick_service;

/* What plans are performed with. */
struct perform_means {
	struct brake_worker *brake; /* NULL in modes C and D */
	struct perform_reclaim reclaim;
};

/* service[] is the list that the plan was made for. */
void perform_plan(struct perform_means *means, const struct plan *plan,
	struct tick_service *const *service, uint64_t now_ms);

/* Reports the release whose result is known by now. */
void perform_settle(struct tick_service *service, uint64_t now_ms);

/* The service, which was ended as the last resort, is gone: used_bytes of limit_bytes (UINT64_MAX =
 * no limit) are in use by all services now.  Nothing where it was not, or was told. */
void perform_ended(
	struct tick_service *service, uint64_t used_bytes, uint64_t limit_bytes, uint64_t now_ms);

/* The service has ended: its open release is dropped without a line. */
void perform_forget(struct perform_service *service);

/* When the open release is reported at the latest; UINT64_MAX where none is open. */
uint64_t perform_due_ms(const struct perform_service *service);

const char *perform_level_name(enum level level);

/* "headroom 18.2M < 25.6M of 256M"; cut to size. */
void perform_reason_text(char *text, size_t size, const struct reason *reason);

#endif
