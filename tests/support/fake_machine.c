/* A tick on fake cgroups with a clock of its own. */

#include "tests/support/fake_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "supervisor/cgroup/psi.h"
#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

#define AHEAD_MS 1000000000U

struct fake_machine machine;

int __wrap_psi_open_trigger(struct psi_watch *watch, int directory_fd, const char *path,
	const struct config_psi *pressure, uint32_t window_ms);
int __wrap_psi_open_events(struct psi_watch *watch, int directory_fd, const char *path);
bool __wrap_psi_trigger_alive(const struct psi_watch *watch);
bool __wrap_psi_events_rearm(const struct psi_watch *watch);

static int open_watch(struct psi_watch *watch, int directory_fd, const char *path)
{
	int file_fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
	if (file_fd < 0)
		return -errno;
	*watch = (struct psi_watch){
		.file_fd = file_fd, .epoll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	return 0;
}

int __wrap_psi_open_trigger(struct psi_watch *watch, int directory_fd, const char *path,
	const struct config_psi *pressure, uint32_t window_ms)
{
	(void)window_ms;
	machine.trigger = *pressure;
	machine.trigger_count++;
	return machine.triggers_refused ? -EINVAL : open_watch(watch, directory_fd, path);
}

int __wrap_psi_open_events(struct psi_watch *watch, int directory_fd, const char *path)
{
	return open_watch(watch, directory_fd, path);
}

bool __wrap_psi_trigger_alive(const struct psi_watch *watch)
{
	(void)watch;
	return !machine.triggers_dead;
}

bool __wrap_psi_events_rearm(const struct psi_watch *watch)
{
	(void)watch;
	return !machine.events_dead;
}

void fake_machine_open(void)
{
	memset(&machine, 0, sizeof machine);
	machine.now_ms = patience_now_ns() / 1000000 + AHEAD_MS;
	fake_children_reset();
	fake_cgroup_open("box", false);
	fake_cgroup_set("box", "memory.max", FAKE_MACHINE_LIMIT_TEXT);
	fake_machine_use("box", 10 * MIB);
}

static void drop(struct tick_service *service)
{
	tick_service_fini(service);
	free(service);
}

void fake_machine_close(void)
{
	tick_close(machine.tick, 0);
	machine.tick = NULL;
	for (size_t i = 0; i < machine.count; i++)
		drop(machine.service[i]);
	free(machine.service);
	machine.service = NULL;
	machine.count = 0;
	fake_cgroup_close();
}

void fake_machine_load(const char *text, struct config *config)
{
	static struct config_errors errors;
	memset(&errors, 0, sizeof errors);
	if (config_load_text(text, strlen(text), config, &errors) != 0)
		fail_msg("line %u: %s", errors.error[0].line, errors.error[0].text);
}

static size_t find(const char *name)
{
	size_t i = 0;
	while (i < machine.count && strcmp(machine.service[i]->config.name, name) != 0)
		i++;
	return i;
}

static struct tick_service *take(const char *name)
{
	size_t i = find(name);
	struct tick_service *service;
	if (i < machine.count) {
		service = machine.service[i];
		machine.service[i] = machine.service[--machine.count];
		return service;
	}
	service = malloc(sizeof *service);
	assert_non_null(service);
	tick_service_init(service);
	return service;
}

void fake_machine_reload(const char *config_text)
{
	struct config *config = calloc(1, sizeof *config);
	assert_non_null(config);
	fake_machine_load(config_text, config);
	size_t count = config->service_count;
	struct tick_service **list = calloc(count, sizeof(struct tick_service *));
	assert_non_null(list);
	assert_int_equal(tick_reserve(machine.tick, count), 0);
	tick_clear(machine.tick);
	for (size_t i = 0; i < count; i++)
		list[i] = take(config->services[i].name);
	for (size_t i = 0; i < machine.count; i++) {
		tick_service_remove(machine.tick, machine.service[i], 0);
		drop(machine.service[i]);
	}
	free(machine.service);
	machine.service = list;
	machine.count = count;
	for (size_t i = 0; i < count; i++) {
		struct config_service before = list[i]->config;
		list[i]->config = config->services[i];
		list[i]->policy_config = config->policies[config->services[i].policy];
		config->services[i] = before;
		tick_add(machine.tick, list[i]);
		tick_service_changed(machine.tick, list[i]);
	}
	config_free(config);
	free(config);
}

void fake_machine_list(const char *config_text)
{
	assert_int_equal(tick_open(NULL, &machine.tick), 0);
	fake_machine_reload(config_text);
}

void fake_machine_start(const char *config_text)
{
	fake_machine_list(config_text);
	for (size_t i = 0; i < machine.count; i++) {
		assert_int_equal(tick_service_prepare(machine.tick, machine.service[i]), 0);
		tick_service_started(machine.service[i]);
	}
}

uint32_t fake_machine_turn(uint64_t after_ms)
{
	machine.now_ms += after_ms;
	return tick_step(machine.tick, machine.now_ms);
}

void fake_machine_use(const char *cgroup, uint64_t bytes)
{
	char text[32];
	snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
	fake_cgroup_set(cgroup, "memory.current", text);
}

struct tick_counts fake_machine_counts(size_t service)
{
	struct tick_counts counts;
	tick_counts(machine.tick, machine.service[service], &counts);
	return counts;
}

enum level fake_machine_level(size_t service)
{
	return fake_machine_counts(service).level;
}

void fake_machine_events(const char *cgroup, unsigned max, unsigned oom_kill)
{
	char text[128];
	snprintf(text, sizeof text, "low 0\nhigh 0\nmax %u\noom %u\noom_kill %u\n", max, oom_kill,
		oom_kill);
	fake_cgroup_set(cgroup, "memory.events", text);
	fake_cgroup_set(cgroup, "memory.events.local", text);
	/* Of which the kernel tells those who watch the file. */
	for (size_t i = 0; i < machine.count; i++)
		tick_woken(machine.tick, machine.service[i], TICK_WATCH_EVENTS, machine.now_ms);
}

int fake_machine_setup(void **state)
{
	(void)state;
	said_begin();
	fake_machine_open();
	return 0;
}

int fake_machine_teardown(void **state)
{
	(void)state;
	fake_machine_close();
	said_end();
	return 0;
}
