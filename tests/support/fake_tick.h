#ifndef TESTS_SUPPORT_FAKE_TICK_H
#define TESTS_SUPPORT_FAKE_TICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/fleet/service.h"
#include "supervisor/process/shim_check.h"

/*
 * One service of supervisor/fleet/service.c with its settings, its clock, and the
 * memory side that it asks: leaf, link, OOM kills and the verdict on the shim
 * are what the test has set (WRAP_tick in the Makefile).  Children are those
 * of fake_children.
 */

#define LIFE_START_MS 1000000U
#define LIFE_STOPWAIT_MS 10000U

struct cgroup_leaf {
	size_t count;
	pid_t member[8];
	int attach_error;
};

struct fake_tick {
	struct cgroup_leaf *leaf;
	struct link *link;
	int prepare_error;
	struct tick_pressure pressure;
	int pressure_error;
	bool pressure_other_user; /* as last asked */
	struct tick_share share;
	uint64_t oom_kills; /* what the next end is told */
	struct shim_verdict verdict;
	struct shim_check check; /* as last asked */
	bool has_process;
};

extern struct fake_tick fake_tick;

/* The service "web": restarted when unexpected, told by SIGTERM, without the shim. */
struct life {
	char *argv[3];
	struct config_service config;
	struct service_host host;
	struct service service;
	uint64_t now_ms;
	struct cgroup_leaf leaf;
};

extern struct life life;

/* For cmocka's setup and teardown; what is logged is kept by said. */
int life_setup(void **state);
int life_teardown(void **state);

/* Another service with life.config. */
void life_init(void);

struct fake_child *life_start(void);

/* As fleet reaps: the service is told while it is a zombie, and it is gone after. */
void life_reap(struct fake_child *child);

/* One step at that time. */
void life_step_at(uint64_t now_ms);

/* Moves the clock to each deadline up to now_ms, as the loop does. */
void life_pass_until(uint64_t now_ms);

/* The main process exits now, is reaped, and what is due is done. */
struct fake_child *life_die(int status);

#endif
