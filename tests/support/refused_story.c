/* The life of a fleet, told again and again with another call refused. */

#include "tests/support/refused_story.h"

#include "tests/support/patience.h"

#include "supervisor/fleet/fleet_private.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_machine.h"
#include "tests/support/refused.h"
#include "tests/support/said.h"

#define BEFORE \
	"[service:db]\ncommand = db\nenvironment = A=1\n[service:web]\ncommand = web\nuser = 0\n"
#define AFTER \
	"[service:log]\ncommand = log\n" \
	"[service:db]\ncommand = db\nenvironment = A=1\nmemory_max = 64M\n" \
	"[service:web]\ncommand = web -v\nuser = 0\n"
#define BROKEN "[service:db]\ncommand = db\n[service:web]\nmemory_max = 1\n"

/* Long enough for every delay before a new start that the story can cause. */
#define ALL_DELAYS_MS 2000U

static struct descriptors nothing_inherited;

static size_t open_descriptors(void)
{
	size_t count = 0;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

static void settle(uint64_t ms)
{
	for (int i = 0; i < 4; i++)
		fake_fleet_pass(ms / 4);
}

static void refused_settle(void)
{
	refused.on = true;
	settle(0);
	refused.on = false;
}

static bool start(void)
{
	struct config *config = calloc(1, sizeof *config);
	assert_non_null(config);
	fake_machine_load(BEFORE, config);
	fake_fleet_write(BEFORE);
	const struct fleet_start all = {.config = config,
		.file = fake_fleet.file,
		.signals = &fake_fleet.signals,
		.inherited = &nothing_inherited};
	refused.on = true;
	int error = fleet_new(&all, &fake_fleet.fleet);
	if (error == 0)
		fleet_run(fake_fleet.fleet);
	refused.on = false;
	if (error != 0)
		assert_true(refused.refused > 0);
	return error == 0;
}

/* Each service of the config in force has one main process, and no other is left. */
static void assert_all_run(void)
{
	const struct fleet *fleet = fake_fleet.fleet;
	size_t alive = 0;
	for (size_t i = 0; i < fleet->count; i++) {
		assert_int_equal(fleet->service[i]->restart.state, RESTART_RUNNING);
		assert_int_equal(
			fake_children_find(fleet->service[i]->pid)->state, FAKE_CHILD_ALIVE);
		assert_string_equal(fake_children_find(fleet->service[i]->pid)->program,
			fleet->service[i]->config->argv[0]);
	}
	for (size_t i = 0; i < fake_children.count; i++)
		alive += fake_children.child[i].state == FAKE_CHILD_ALIVE;
	assert_int_equal(alive, fleet->count);
	assert_false(fleet->watches_missing);
}

static void reload_with_an_error(void)
{
	struct service **services = fake_fleet.fleet->service;
	size_t spawned = fake_children.count;
	size_t signals = fake_children.signal_count;
	fake_fleet_write(BROKEN);
	refused.on = true;
	fake_fleet_signal(SIGHUP);
	refused.on = false;
	refused_settle();
	assert_ptr_equal(fake_fleet.fleet->service, services);
	assert_null(fake_fleet.fleet->reload);
	assert_int_equal(fake_children.count, spawned);
	assert_int_equal(fake_children.signal_count, signals);
}

/* Either all of the new config is in force or nothing of it; what stays is the same object. */
static void reload(void)
{
	const struct fleet *fleet = fake_fleet.fleet;
	struct service *before[] = {fleet->service[0], fleet->service[1]};
	said_clear();
	struct service **services = fleet->service;
	pid_t db = fake_fleet_child("db")->pid;
	pid_t web = fake_fleet_child("web")->pid;
	fake_fleet_write(AFTER);
	refused.on = true;
	fake_fleet_signal(SIGHUP);
	refused.on = false;
	bool begun = fleet->service != services || fleet->reload != NULL;
	refused_settle();
	settle(ALL_DELAYS_MS);
	assert_all_run();
	assert_int_equal(fake_fleet_child("db")->pid, db);
	assert_int_equal(fake_fleet_child("web")->pid == web, !begun);
	assert_int_equal(fleet->count, begun ? 3 : 2);
	assert_ptr_equal(fleet->service[begun ? 1 : 0], before[0]);
	assert_ptr_equal(fleet->service[begun ? 2 : 1], before[1]);
	assert_int_equal(before[0]->config->memory_max.bytes, begun ? 67108864 : 0);
	if (!begun) {
		assert_true(refused.refused > 0);
		assert_int_equal(said("not reloaded"), 1);
		assert_int_equal(said("everything stays as it was"), 1);
	}
	if (begun && refused.refused == 0)
		assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.max", "67108864")));
}

static void crash(void)
{
	fake_children_exit(fake_fleet_child("web"), 1);
	refused.on = true;
	fake_fleet_pass(1000);
	refused.on = false;
	settle(ALL_DELAYS_MS);
	assert_all_run();
}

static void stop(void)
{
	refused.on = true;
	fake_fleet_signal(SIGTERM);
	for (int i = 0; i < 24 && !fake_loop.stopped; i++)
		fake_fleet_pass(i < 8 ? 0 : 5000);
	assert_true(fake_loop.stopped);
	fake_fleet_free();
	refused.on = false;
}

/* Without a descriptor for it a control file cannot be written, which is told of. */
static void assert_nothing_is_left(void)
{
	static const char *const leaves[] = {"box/db", "box/web", "box/log", "box/db-2",
		"box/web-2", "box/log-2", "box/supervisor"};
	for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
		assert_false(fake_cgroup_exists(leaves[i]));
	assert_true(fake_cgroup_has("box", getpid()));
	assert_true(fake_cgroup_reads("box", "cgroup.subtree_control", ""));
}

/* true: something was refused. */
static bool tell(enum refused_kind kind, enum refused_how how, uint64_t at)
{
	static char path[] = "PATH=/usr/bin:/bin";
	/* In memory, where it is there: hundreds of trees are made, and disks are slow. */
	static char folder[] = "TMPDIR=/dev/shm";
	char *few[] = {path, access("/dev/shm", W_OK) == 0 ? folder : NULL, NULL};
	char **all = environ;
	/* Each start copies the environment. */
	environ = few;
	fake_fleet_setup(NULL);
	size_t descriptors = open_descriptors();
	refused_begin(kind, how, at);
	if (start()) {
		settle(ALL_DELAYS_MS);
		assert_all_run();
		reload_with_an_error();
		reload();
		crash();
		stop();
	}
	fake_fleet.fleet = NULL;
	fake_loop_reset(0);
	assert_int_equal(open_descriptors(), descriptors);
	if (how == REFUSED_ONCE &&
		!(kind == REFUSED_DESCRIPTORS && said(" stays behind: ") + said(" stay in it: ") +
								 said(" stays switched on: ") >
							 0))
		assert_nothing_is_left();
	fake_fleet_teardown(NULL);
	environ = all;
	return refused.refused > 0;
}

void refused_story_tell_all(enum refused_kind kind, enum refused_how how)
{
	uint64_t at = 1;
	while (tell(kind, how, at))
		at += how == REFUSED_ONCE ? 1 : 8;
	assert_true(at > 50);
}

int refused_story_teardown(void **state)
{
	(void)state;
	refused.on = false;
	said_show();
	said_end();
	return 0;
}
