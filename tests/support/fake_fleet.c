/* A whole fleet on fakes: cgroups, children, loop and signals. */

#include "tests/support/fake_fleet.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_machine.h"
#include "tests/support/said.h"

#define START_MS 1000000U
#define FILE_NAME "etc/spillway.ini"

struct fake_fleet fake_fleet;

int __wrap_signals_read(const struct signals *signals, struct signals_event *event);
uint32_t __wrap_random_seed(void);

/* Delays have no random part. */
uint32_t __wrap_random_seed(void)
{
	return 0;
}

int __wrap_signals_read(const struct signals *signals, struct signals_event *event)
{
	(void)signals;
	if (fake_fleet.event_read == fake_fleet.event_count)
		return 0;
	*event = fake_fleet.event[fake_fleet.event_read++];
	return 1;
}

int fake_fleet_setup(void **state)
{
	(void)state;
	memset(&fake_fleet, 0, sizeof fake_fleet);
	said_begin();
	fake_machine_open();
	fake_loop_reset(START_MS);
	fake_fleet.signals.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(fake_fleet.file, sizeof fake_fleet.file, "%s/" FILE_NAME, fake_cgroup.tree.path);
	return 0;
}

void fake_fleet_free(void)
{
	if (fake_fleet.fleet != NULL)
		fleet_free(fake_fleet.fleet);
	fake_fleet.fleet = NULL;
}

int fake_fleet_teardown(void **state)
{
	(void)state;
	fake_fleet_free();
	close(fake_fleet.signals.fd);
	fake_machine_close();
	said_end();
	return 0;
}

void fake_fleet_write(const char *config_text)
{
	fake_tree_write(&fake_cgroup.tree, FILE_NAME, config_text);
}

static void make(const char *config_text, bool wrap)
{
	static struct descriptors none;
	struct config *config = calloc(1, sizeof *config);
	assert_non_null(config);
	fake_machine_load(config_text, config);
	fake_fleet_write(config_text);
	const struct fleet_start start = {.config = config,
		.file = wrap ? NULL : fake_fleet.file,
		.signals = &fake_fleet.signals,
		.inherited = &none};
	assert_int_equal(fleet_new(&start, &fake_fleet.fleet), 0);
}

void fake_fleet_start(const char *config_text)
{
	make(config_text, false);
	fleet_run(fake_fleet.fleet);
}

int fake_fleet_run(const char *config_text, bool wrap, void (*script)(void *context))
{
	make(config_text, wrap);
	fake_loop.run = script;
	return fleet_run(fake_fleet.fleet);
}

static void send(struct signals_event event)
{
	fake_fleet.event_read = 0;
	fake_fleet.event_count = 1;
	fake_fleet.event[0] = event;
	assert_true(fake_loop_fire(fake_fleet.signals.fd));
	assert_int_equal(fake_fleet.event_read, 1);
}

void fake_fleet_signal(int number)
{
	send((struct signals_event){.number = number, .sender = 1});
}

void fake_fleet_signal_from_us(int number)
{
	send((struct signals_event){.number = number, .sender = getpid(), .from_us = true});
}

void fake_fleet_reap(void)
{
	send((struct signals_event){.number = SIGCHLD});
}

void fake_fleet_pass(uint64_t ms)
{
	assert_true(fake_loop_pass(ms));
	if (!fake_loop.stopped)
		fake_fleet_reap();
}

struct fake_child *fake_fleet_child(const char *program)
{
	struct fake_child *child = fake_children_of(program);
	if (child == NULL || child->state != FAKE_CHILD_ALIVE)
		fail_msg("%s does not run", program);
	return child;
}
