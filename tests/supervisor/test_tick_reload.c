/* What tick keeps while services come, move, change and go. */

#include "supervisor/process/descriptors.h"
#include "supervisor/tick/tick.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_machine.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

/* After that it is looked whether the leaves are still there. */
#define LOOK_MS 6000U

#define WEB "[service:web]\ncommand = x\n"
#define DB "[service:db]\ncommand = y\nmemory_max = 64M\n"
#define LOG "[service:log]\ncommand = z\n"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* NULL: what is common to all. */
static int watch_of(const struct tick_service *service, enum tick_watch_kind kind)
{
	return tick_watch_fd(machine.tick, service, kind);
}

static void test_services_move_with_all_that_is_theirs(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	fake_machine_events("box/db", 0, 2);
	fake_machine_turn(1000);
	struct link *web = machine.service[0]->link;
	struct link *db = machine.service[1]->link;
	struct cgroup_leaf *db_leaf = machine.service[1]->leaf;
	fake_machine_reload(LOG DB WEB);
	assert_null(machine.service[0]->link);
	assert_ptr_equal(machine.service[1]->link, db);
	assert_ptr_equal(machine.service[2]->link, web);
	assert_ptr_equal(machine.service[1]->leaf, db_leaf);
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[0]), 0);
	tick_service_started(machine.service[0]);
	assert_true(fake_cgroup_exists("box/log"));
	/* Counted before, told after, and not again. */
	fake_machine_turn(1000);
	assert_int_equal(said("OOM-killed 2 processes"), 1);
	assert_int_equal(fake_machine_counts(1).oom_kills, 2);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[1], true, 0), 2);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[2], true, 0), 0);
}

static void test_a_level_goes_with_its_service(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	fake_machine_turn(600000);
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(600000);
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	said_clear();
	fake_machine_reload(DB WEB);
	fake_machine_turn(10);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
	assert_int_equal(fake_machine_level(1), LEVEL_CALM);
	assert_int_equal(said("(was "), 0);
}

/* The kernel lets anybody remove it while the service waits for its next start. */
static void test_a_leaf_that_was_removed_is_made_again(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	tick_service_ended(machine.tick, machine.service[1], true, 0);
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[1]), 0);
	struct cgroup_leaf *before = machine.service[1]->leaf;
	assert_false(cgroup_leaf_gone(before));
	assert_int_equal(rmdir(cgroup_leaf_directory(before)), 0);
	assert_true(cgroup_leaf_gone(before));
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[1]), 0);
	assert_int_equal(said("db: its cgroup was removed, and is made again"), 1);
	assert_true(fake_cgroup_exists("box/db"));
	assert_true(fake_cgroup_reads("box/db", "memory.max", "67108864"));
	assert_false(cgroup_leaf_gone(machine.service[1]->leaf));
	assert_non_null(machine.service[1]->link);
	fake_machine_turn(LOOK_MS);
}

/* Between two starts, or when all of it was moved elsewhere; nobody starts anything. */
static void test_a_leaf_that_vanishes_is_made_again_by_a_turn(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	struct tick_service *db = machine.service[1];
	fake_machine_turn(LOOK_MS);
	tick_watches_settled(machine.tick);
	int trigger = watch_of(db, TICK_WATCH_PSI);
	int events = watch_of(db, TICK_WATCH_EVENTS);
	int notifier = watch_of(db, TICK_WATCH_NOTIFIER);
	struct link *link = db->link;
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(LOOK_MS);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	assert_int_equal(rmdir(cgroup_leaf_directory(db->leaf)), 0);
	fake_machine_turn(LOOK_MS);
	assert_int_equal(said("db: its cgroup was removed, and is made again"), 1);
	assert_false(cgroup_leaf_gone(db->leaf));
	assert_true(fake_cgroup_reads("box/db", "memory.max", "67108864"));
	assert_ptr_equal(db->link, link);
	/* The loop stops waiting for the old files before they close. */
	assert_int_equal(watch_of(db, TICK_WATCH_NOTIFIER), notifier);
	assert_int_not_equal(watch_of(db, TICK_WATCH_PSI), trigger);
	assert_int_not_equal(watch_of(db, TICK_WATCH_EVENTS), events);
	assert_true(is_open(trigger) && is_open(events));
	tick_watches_settled(machine.tick);
	assert_false(is_open(trigger) || is_open(events));
	/* What is in it is what counts. */
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(LOOK_MS);
	assert_int_equal(fake_machine_counts(1).usage_bytes, 63 * MIB);
}

/* Whoever makes a leaf again kills what is in the one before. */
static void test_a_leaf_that_cannot_be_looked_at_is_left_alone(void **state)
{
	char base[256];
	char away[300];
	(void)state;
	fake_machine_start(WEB DB);
	struct tick_service *db = machine.service[1];
	struct cgroup_leaf *leaf = db->leaf;
	snprintf(base, sizeof base, "%s", cgroup_leaf_directory(leaf));
	*strrchr(base, '/') = '\0';
	snprintf(away, sizeof away, "%s.away", base);
	assert_int_equal(rename(base, away), 0);
	assert_int_equal(symlink(base, base), 0);
	fake_machine_turn(LOOK_MS);
	assert_int_equal(unlink(base), 0);
	assert_int_equal(rename(away, base), 0);
	assert_ptr_equal(db->leaf, leaf);
	assert_false(db->leaf_lost);
	assert_int_equal(said("its cgroup was removed"), 0);
}

static void test_a_leaf_that_cannot_be_made_again_is_tried_again(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	struct tick_service *db = machine.service[1];
	assert_int_equal(rmdir(cgroup_leaf_directory(db->leaf)), 0);
	fake_cgroup.refuse_mkdir_errno = ENOSPC;
	for (int turn = 0; turn < 3; turn++) {
		fake_machine_turn(LOOK_MS);
		tick_watches_settled(machine.tick);
	}
	assert_int_equal(said("db: its cgroup was removed, and cannot be made again yet: No space "
			      "left on device"),
		1);
	assert_int_equal(tick_service_ended(machine.tick, db, true, 0), 0);
	assert_int_equal(tick_service_prepare(machine.tick, db), -ENOSPC);
	tick_service_started(db);
	fake_machine_reload(DB WEB);
	fake_cgroup.refuse_mkdir_errno = 0;
	fake_machine_turn(LOOK_MS);
	assert_int_equal(said("db: its cgroup was removed, and is made again"), 1);
	assert_true(fake_cgroup_reads("box/db", "memory.max", "67108864"));
	assert_true(watch_of(db, TICK_WATCH_EVENTS) >= 0);
}

/* The leaf's and the one of all services; the loop stops waiting for the old ones before they
 * close. */
static void test_new_thresholds_get_new_triggers(void **state)
{
	(void)state;
	fake_machine_start("[policy:p]\nlazy_pressure = some 5% 2s\n" WEB "policy = p\n");
	fake_machine_turn(LOOK_MS);
	struct tick_service *web = machine.service[0];
	int leaf = watch_of(web, TICK_WATCH_PSI);
	int all = watch_of(NULL, TICK_WATCH_PSI);
	assert_true(is_open(leaf) && is_open(all));
	tick_watches_settled(machine.tick);
	uint64_t generation = tick_watches_generation(machine.tick);
	machine.trigger_count = 0;
	fake_machine_reload("[policy:p]\nlazy_pressure = some 5% 2s\n" WEB "policy = p\n");
	fake_machine_turn(LOOK_MS);
	assert_int_equal(machine.trigger_count, 0);
	assert_int_equal(watch_of(web, TICK_WATCH_PSI), leaf);
	fake_machine_reload("[policy:p]\nlazy_pressure = some 2% 4s\n" WEB "policy = p\n");
	fake_machine_turn(LOOK_MS);
	assert_int_equal(machine.trigger_count, 2);
	assert_int_equal(machine.trigger.kind, CONFIG_PSI_SOME);
	assert_int_equal(machine.trigger.permille, 20);
	assert_int_equal(machine.trigger.window_ms, 4000);
	assert_true(tick_watches_generation(machine.tick) != generation);
	assert_int_not_equal(watch_of(web, TICK_WATCH_PSI), leaf);
	assert_int_not_equal(watch_of(NULL, TICK_WATCH_PSI), all);
	assert_true(is_open(leaf) && is_open(all));
	tick_watches_settled(machine.tick);
	assert_false(is_open(leaf) || is_open(all));
	fake_machine_reload("[policy:p]\nlazy_pressure = off\n" WEB "policy = p\n");
	fake_machine_turn(1000);
	assert_int_equal(machine.trigger_count, 2);
	assert_int_equal(watch_of(web, TICK_WATCH_PSI), -1);
	tick_watches_settled(machine.tick);
}

/* What memory_high is when the brake comes off is what the new config says. */
static void test_a_new_memory_high_outlives_the_brake(void **state)
{
	(void)state;
	fake_machine_start("[service:db]\ncommand = y\nmemory_max = 64M\n");
	fake_machine_turn(600000);
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(600000);
	assert_true(fake_machine_counts(0).brakes > 0);
	fake_machine_reload("[service:db]\ncommand = y\nmemory_max = 64M\nmemory_high = 48M\n");
	tick_service_ended(machine.tick, machine.service[0], true, 0);
	assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.high", "50331648")));
}

static void test_new_limits_are_written_and_old_ones_lifted(void **state)
{
	static const struct {
		const char *text;
		const char *max;
		const char *high;
	} rows[] = {
		{"[service:db]\ncommand = y\nmemory_max = 32M\nmemory_high = 30M\n", "33554432",
			"31457280"},
		{"[service:db]\ncommand = y\nmemory_max = 50%\n", "134217728", "max"},
		{"[service:db]\ncommand = y\nmemory_high = 12.5%\n", "max", "33554432"},
		{"[service:db]\ncommand = y\n", "max", "max"},
	};
	(void)state;
	fake_machine_start(DB);
	/* What the loop's own thread writes would be refused: lowering a limit takes time. */
	fake_cgroup.refuse_file = "memory.high";
	fake_cgroup.refuse_errno = EBUSY;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_machine_reload(rows[i].text);
		fake_machine_turn(10);
		assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.max", rows[i].max)));
		assert_true(
			WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.high", rows[i].high)));
	}
	/* Refused when it is written, by the thread that does it; told of by a turn. */
	int leaf = cgroup_leaf_fd(machine.service[0]->leaf);
	assert_int_equal(unlinkat(leaf, "memory.high", 0), 0);
	assert_int_equal(symlinkat("/dev/full", leaf, "memory.high"), 0);
	tick_service_changed(machine.tick, machine.service[0]);
	assert_true(WAIT_UNTIL(
		10, (fake_machine_turn(10), said("db: new limits: No space left on device") == 1)));
}

static void test_a_removed_service_leaves_nothing(void **state)
{
	int gone[TICK_WATCH_KINDS];
	(void)state;
	fake_machine_start(WEB DB);
	struct tick_service *db = machine.service[1];
	uint64_t generation = tick_watches_generation(machine.tick);
	for (enum tick_watch_kind kind = 0; kind < TICK_WATCH_KINDS; kind++)
		gone[kind] = watch_of(machine.service[0], kind);
	assert_true(is_open(gone[TICK_WATCH_PSI]) && is_open(gone[TICK_WATCH_EVENTS]) &&
		    is_open(gone[TICK_WATCH_NOTIFIER]));
	fake_machine_reload(DB);
	assert_false(fake_cgroup_exists("box/web"));
	assert_true(fake_cgroup_exists("box/db"));
	assert_ptr_equal(machine.service[0], db);
	assert_true(tick_watches_generation(machine.tick) != generation);
	/* A number may be another file's for as long as that takes to write the limits of db. */
	assert_true(WAIT_UNTIL(10, !is_open(gone[TICK_WATCH_PSI]) &&
					   !is_open(gone[TICK_WATCH_EVENTS]) &&
					   !is_open(gone[TICK_WATCH_NOTIFIER])));
	fake_machine_turn(1000);
}

static void test_a_busy_cgroup_is_left_for_later_and_its_name_as_well(void **state)
{
	(void)state;
	fake_machine_start(WEB DB);
	struct fake_child *stuck = fake_children_add(0);
	stuck->unkillable = true;
	assert_int_equal(cgroup_leaf_attach(machine.service[0]->leaf, stuck->pid), 0);
	fake_machine_reload(DB);
	assert_int_equal(said("web: its cgroup is still busy, left for later"), 1);
	/* It comes back, renamed as far as the kernel is concerned. */
	fake_machine_reload(DB WEB);
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[1]), 0);
	assert_non_null(strstr(cgroup_leaf_directory(machine.service[1]->leaf), "/box/web-2"));
	assert_true(fake_cgroup_has("box/web", stuck->pid));
	stuck->unkillable = false;
	tick_close(machine.tick, 0);
	machine.tick = NULL;
	assert_false(fake_cgroup_exists("box/web"));
	assert_false(fake_cgroup_exists("box/web-2"));
	assert_true(fake_cgroup_has("box", getpid()));
}

static void test_what_was_prepared_is_not_made_again(void **state)
{
	(void)state;
	fake_machine_start(WEB);
	uint64_t generation = tick_watches_generation(machine.tick);
	struct link *link = machine.service[0]->link;
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[0]), 0);
	assert_ptr_equal(machine.service[0]->link, link);
	assert_true(tick_watches_generation(machine.tick) == generation);
	assert_false(fake_cgroup_exists("box/web-2"));
}

static void test_a_service_that_cannot_be_prepared_is_tried_again(void **state)
{
	static const char *const refused[] = {"memory.max", "memory.high"};
	(void)state;
	fake_machine_list(WEB);
	fake_cgroup.refuse_mkdir_errno = ENOSPC;
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[0]), -ENOSPC);
	fake_cgroup.refuse_mkdir_errno = 0;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		fake_cgroup.refuse_file = refused[i];
		fake_cgroup.refuse_errno = EPERM;
		assert_int_equal(tick_service_prepare(machine.tick, machine.service[0]), -EPERM);
		assert_null(machine.service[0]->leaf);
		assert_null(machine.service[0]->link);
		/* It runs on without: turns, its end, its removal. */
		tick_service_started(machine.service[0]);
		fake_machine_turn(1000);
		assert_int_equal(tick_service_ended(machine.tick, machine.service[0], true, 0), 0);
		tick_service_remove(machine.tick, machine.service[0], 0);
	}
	assert_int_equal(tick_service_prepare(machine.tick, machine.service[0]), 0);
	assert_non_null(strstr(cgroup_leaf_directory(machine.service[0]->leaf), "/box/web"));
	assert_false(fake_cgroup_exists("box/web-2"));
}

static void test_wakes_are_counted_by_what_woke(void **state)
{
	static const struct {
		enum tick_watch_kind kind;
		uint64_t psi, events, notifier;
	} rows[] = {
		{TICK_WATCH_PSI, 1, 0, 0},
		{TICK_WATCH_EVENTS, 1, 1, 0},
		{TICK_WATCH_NOTIFIER, 1, 1, 1},
		{TICK_WATCH_NOTIFIER, 1, 1, 2},
	};
	(void)state;
	fake_machine_start(WEB DB);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		tick_woken(machine.tick, machine.service[1], rows[i].kind, machine.now_ms);
		struct tick_counts counts = fake_machine_counts(1);
		assert_int_equal(counts.psi_wakes, rows[i].psi);
		assert_int_equal(counts.events_wakes, rows[i].events);
		assert_int_equal(counts.notifier_wakes, rows[i].notifier);
	}
	assert_int_equal(fake_machine_counts(0).notifier_wakes, 0);
}

static void test_a_dead_file_is_not_waited_for_any_more(void **state)
{
	static const enum tick_watch_kind kinds[] = {TICK_WATCH_PSI, TICK_WATCH_EVENTS};
	(void)state;
	fake_machine_start(WEB DB);
	fake_machine_turn(1000);
	struct tick_service *services[] = {machine.service[0], NULL};
	machine.triggers_dead = true;
	machine.events_dead = true;
	for (size_t s = 0; s < 2; s++) {
		for (size_t k = 0; k < 2; k++) {
			int dead = watch_of(services[s], kinds[k]);
			uint64_t generation = tick_watches_generation(machine.tick);
			assert_true(dead >= 0);
			tick_woken(machine.tick, services[s], kinds[k], machine.now_ms);
			assert_true(tick_watches_generation(machine.tick) != generation);
			assert_int_equal(watch_of(services[s], kinds[k]), -1);
			assert_true(is_open(dead));
			tick_watches_settled(machine.tick);
			assert_false(is_open(dead));
			/* A wake that was on its way finds nothing. */
			generation = tick_watches_generation(machine.tick);
			tick_woken(machine.tick, services[s], kinds[k], machine.now_ms);
			assert_true(tick_watches_generation(machine.tick) == generation);
		}
	}
	assert_true(watch_of(machine.service[1], TICK_WATCH_PSI) >= 0);
	fake_machine_turn(1000);
}

static void test_without_triggers_and_events_there_are_turns(void **state)
{
	(void)state;
	machine.triggers_refused = true;
	fake_machine_start(WEB);
	assert_int_equal(said("mode B: "), 1);
	assert_int_equal(watch_of(machine.service[0], TICK_WATCH_PSI), -1);
	assert_true(watch_of(machine.service[0], TICK_WATCH_NOTIFIER) >= 0);
	fake_machine_turn(1000);
	fake_machine_use("box", 250 * MIB);
	fake_machine_turn(600000);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
}

/* All new ones in the place of all, and back: slots of the brake and keys of the listener go and
 * come with services. */
static void test_all_services_can_be_exchanged(void **state)
{
	enum { SERVICES = 300 };
	static char text[2][SERVICES * 64];
	struct descriptors descriptors = {0};
	descriptors_raise(&descriptors);
	(void)state;
	for (size_t i = 0; i < SERVICES; i++)
		for (size_t t = 0; t < 2; t++)
			snprintf(text[t] + strlen(text[t]), 64, "[service:%c%zu]\ncommand = x\n",
				"ab"[t], i);
	fake_machine_start(text[0]);
	fake_machine_turn(1000);
	fake_machine_reload(text[1]);
	for (size_t i = 0; i < SERVICES; i++) {
		assert_int_equal(tick_service_prepare(machine.tick, machine.service[i]), 0);
		tick_service_started(machine.service[i]);
	}
	tick_watches_settled(machine.tick);
	fake_machine_turn(1000);
	assert_false(fake_cgroup_exists("box/a0"));
	assert_true(fake_cgroup_exists("box/b299"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_machine_setup, fake_machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_services_move_with_all_that_is_theirs),
		TEST(test_a_level_goes_with_its_service),
		TEST(test_a_leaf_that_was_removed_is_made_again),
		TEST(test_a_leaf_that_vanishes_is_made_again_by_a_turn),
		TEST(test_a_leaf_that_cannot_be_looked_at_is_left_alone),
		TEST(test_a_leaf_that_cannot_be_made_again_is_tried_again),
		TEST(test_new_thresholds_get_new_triggers),
		TEST(test_a_new_memory_high_outlives_the_brake),
		TEST(test_new_limits_are_written_and_old_ones_lifted),
		TEST(test_a_removed_service_leaves_nothing),
		TEST(test_a_busy_cgroup_is_left_for_later_and_its_name_as_well),
		TEST(test_what_was_prepared_is_not_made_again),
		TEST(test_a_service_that_cannot_be_prepared_is_tried_again),
		TEST(test_wakes_are_counted_by_what_woke),
		TEST(test_a_dead_file_is_not_waited_for_any_more),
		TEST(test_without_triggers_and_events_there_are_turns),
		TEST(test_all_services_can_be_exchanged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
