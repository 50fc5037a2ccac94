/* One service.c service by hand: its clock, and the memory side that it asks. */

#include "tests/support/fake_tick.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/said.h"

struct fake_tick fake_tick;
struct life life;

int __wrap_tick_service_prepare(struct tick *tick, struct tick_service *service);
int __wrap_tick_service_pressure(struct tick *tick, struct tick_service *service, bool other_user,
	struct tick_pressure *pressure);
void __wrap_tick_service_leaves(struct tick *tick, struct tick_service *service);
uint64_t __wrap_tick_service_ended(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms);
int __wrap_cgroup_leaf_attach(struct cgroup_leaf *leaf, pid_t pid);
int __wrap_cgroup_leaf_fd(const struct cgroup_leaf *leaf);
int __wrap_cgroup_leaf_kill(struct cgroup_leaf *leaf);
int __wrap_cgroup_leaf_signal(struct cgroup_leaf *leaf, int signal);
bool __wrap_cgroup_leaf_empty(const struct cgroup_leaf *leaf);
void __wrap_shim_check(const struct shim_check *check, struct shim_verdict *verdict);
void __wrap_tick_service_share(
	struct tick *tick, const struct tick_service *service, struct tick_share *share);
uint64_t __wrap_tick_service_share_bytes(
	const struct tick *tick, const struct tick_service *service);
bool __wrap_link_has_process(const struct link *link, pid_t pid);

int __wrap_tick_service_prepare(struct tick *tick, struct tick_service *service)
{
	(void)tick;
	service->leaf = fake_tick.leaf;
	service->link = fake_tick.link;
	return fake_tick.prepare_error;
}

int __wrap_tick_service_pressure(struct tick *tick, struct tick_service *service, bool other_user,
	struct tick_pressure *pressure)
{
	(void)tick;
	(void)service;
	fake_tick.pressure_other_user = other_user;
	*pressure = fake_tick.pressure;
	return fake_tick.pressure_error;
}

void __wrap_tick_service_leaves(struct tick *tick, struct tick_service *service)
{
	(void)tick;
	service->leaves = true;
}

uint64_t __wrap_tick_service_ended(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms)
{
	(void)now_ms;
	uint64_t kills = fake_tick.oom_kills;
	(void)tick;
	(void)service;
	fake_tick.oom_kills = 0;
	return was_killed ? kills : 0;
}

int __wrap_cgroup_leaf_attach(struct cgroup_leaf *leaf, pid_t pid)
{
	if (leaf->attach_error == 0)
		leaf->member[leaf->count++] = pid;
	return leaf->attach_error;
}

int __wrap_cgroup_leaf_fd(const struct cgroup_leaf *leaf)
{
	(void)leaf;
	return -1;
}

int __wrap_cgroup_leaf_kill(struct cgroup_leaf *leaf)
{
	return __wrap_cgroup_leaf_signal(leaf, SIGKILL) >= 0 ? 0 : -EIO;
}

int __wrap_cgroup_leaf_signal(struct cgroup_leaf *leaf, int signal)
{
	int count = 0;
	for (size_t i = 0; i < leaf->count; i++)
		if (fake_children_find(leaf->member[i])->state == FAKE_CHILD_ALIVE)
			count += kill(leaf->member[i], signal) == 0;
	return count;
}

bool __wrap_cgroup_leaf_empty(const struct cgroup_leaf *leaf)
{
	for (size_t i = 0; i < leaf->count; i++)
		if (fake_children_find(leaf->member[i])->state == FAKE_CHILD_ALIVE)
			return false;
	return true;
}

void __wrap_tick_service_share(
	struct tick *tick, const struct tick_service *service, struct tick_share *share)
{
	(void)tick;
	(void)service;
	*share = fake_tick.share;
}

uint64_t __wrap_tick_service_share_bytes(
	const struct tick *tick, const struct tick_service *service)
{
	(void)tick;
	(void)service;
	return fake_tick.share.limit_bytes;
}

void __wrap_shim_check(const struct shim_check *check, struct shim_verdict *verdict)
{
	fake_tick.check = *check;
	*verdict = fake_tick.verdict;
}

bool __wrap_link_has_process(const struct link *link, pid_t pid)
{
	(void)link;
	(void)pid;
	return fake_tick.has_process;
}

static char program[] = "web";
static char option[] = "--port=80";

int life_setup(void **state)
{
	fake_children_reset();
	memset(&fake_tick, 0, sizeof fake_tick);
	life = (struct life){
		.argv = {program, option},
		.config = {.name = "web",
			.argv = life.argv,
			.autorestart = CONFIG_RESTART_UNEXPECTED,
			.exitcodes = {1},
			.startretries = CONFIG_RETRIES_ENDLESS,
			.stopsignal = SIGTERM,
			.stopwait_ms = LIFE_STOPWAIT_MS,
			.shim = CONFIG_SHIM_OFF},
		.host = {.announce = true},
		.now_ms = LIFE_START_MS,
	};
	life_init();
	said_begin();
	*state = &life;
	return 0;
}

void life_init(void)
{
	static const struct config_policy policy;
	struct config_service config = life.config;
	service_init(&life.service, &config, &policy);
}

int life_teardown(void **state)
{
	(void)state;
	said_end();
	link_close(fake_tick.link);
	unsetenv("LD_PRELOAD");
	return 0;
}

struct fake_child *life_start(void)
{
	service_start(&life.service, &life.host, life.now_ms);
	struct fake_child *child = fake_children_of("web");
	assert_non_null(child);
	assert_true(child->went);
	assert_int_equal(life.service.pid, child->pid);
	/* It runs, which is said. */
	service_step(&life.service, &life.host, life.now_ms + 1);
	return child;
}

void life_reap(struct fake_child *child)
{
	assert_int_equal(child->state, FAKE_CHILD_ZOMBIE);
	if (life.service.lives && child->pid == life.service.pid)
		service_died(&life.service, &life.host, child->code, child->status, life.now_ms);
	fake_children_reap(child);
}

void life_step_at(uint64_t now_ms)
{
	life.now_ms = now_ms;
	service_step(&life.service, &life.host, now_ms);
}

void life_pass_until(uint64_t now_ms)
{
	unsigned steps = 0;
	while (service_deadline_ms(&life.service) <= now_ms) {
		assert_true(steps++ < 1000);
		uint64_t due_ms = service_deadline_ms(&life.service);
		life_step_at(due_ms > life.now_ms ? due_ms : life.now_ms);
	}
	life_step_at(now_ms);
}

struct fake_child *life_die(int status)
{
	struct fake_child *child = fake_children_find(life.service.pid);
	fake_children_exit(child, status);
	life_reap(child);
	life_step_at(life.now_ms);
	return child;
}
