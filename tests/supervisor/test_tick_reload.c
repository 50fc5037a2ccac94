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

#define WEB "[service:web]\ncommand = x\n"
#define DB "[service:db]\ncommand = y\nmemory_max = 64M\n"
#define LOG "[service:log]\ncommand = z\n"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct config next_config;

static int setup(void **state)
{
	(void)state;
	said_begin();
	fake_machine_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_machine_close();
	config_free(&next_config);
	said_end();
	return 0;
}

/* As reload.c does: removed first, then all under the new config. */
static void reload(const char *text, const size_t *previous, size_t count)
{
	bool kept[CONFIG_SERVICES_MAX] = {false};
	config_free(&next_config);
	fake_machine_load(text, &next_config);
	assert_int_equal(next_config.service_count, count);
	for (size_t i = 0; i < count; i++)
		if (previous[i] != SIZE_MAX)
			kept[previous[i]] = true;
	for (size_t i = 0; i < machine.config.service_count; i++)
		if (!kept[i])
			tick_service_remove(machine.tick, i, 0);
	tick_reload(machine.tick, &next_config, previous);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static size_t watches_of(size_t service, struct tick_watch found[TICK_WATCHES_MAX])
{
	struct tick_watch all[TICK_WATCHES_MAX];
	size_t count = 0;
	size_t total = tick_watches(machine.tick, all);
	for (size_t i = 0; i < total; i++)
		if (all[i].service == service)
			found[count++] = all[i];
	return count;
}

static struct tick_watch watch_of(size_t service, enum tick_watch_kind kind)
{
	struct tick_watch found[TICK_WATCHES_MAX];
	size_t count = watches_of(service, found);
	for (size_t i = 0; i < count; i++)
		if (found[i].kind == kind)
			return found[i];
	return (struct tick_watch){.fd = -1};
}

static void test_services_move_with_all_that_is_theirs(void **state)
{
	const size_t previous[] = {SIZE_MAX, 1, 0};
	(void)state;
	fake_machine_start(WEB DB);
	fake_machine_events("box/db", 0, 2);
	fake_machine_turn(1000);
	struct link *web = tick_link(machine.tick, 0);
	struct link *db = tick_link(machine.tick, 1);
	struct cgroup_leaf *db_leaf = tick_leaf(machine.tick, 1);
	reload(LOG DB WEB, previous, COUNT(previous));
	assert_null(tick_link(machine.tick, 0));
	assert_ptr_equal(tick_link(machine.tick, 1), db);
	assert_ptr_equal(tick_link(machine.tick, 2), web);
	assert_ptr_equal(tick_leaf(machine.tick, 1), db_leaf);
	assert_int_equal(tick_service_prepare(machine.tick, 0), 0);
	tick_service_started(machine.tick, 0);
	assert_true(fake_cgroup_exists("box/log"));
	/* Counted before, told after, and not again. */
	fake_machine_turn(1000);
	assert_int_equal(said("OOM-killed 2 processes"), 1);
	assert_int_equal(fake_machine_counts(1).oom_kills, 2);
	assert_int_equal(tick_service_ended(machine.tick, 1), 2);
	assert_int_equal(tick_service_ended(machine.tick, 2), 0);
}

static void test_a_level_goes_with_its_service(void **state)
{
	const size_t previous[] = {1, 0};
	(void)state;
	fake_machine_start(WEB DB);
	fake_machine_turn(600000);
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(600000);
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	said_clear();
	reload(DB WEB, previous, COUNT(previous));
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
	tick_service_ended(machine.tick, 1);
	assert_int_equal(tick_service_prepare(machine.tick, 1), 0);
	struct cgroup_leaf *before = tick_leaf(machine.tick, 1);
	assert_false(cgroup_leaf_gone(before));
	assert_int_equal(rmdir(cgroup_leaf_directory(before)), 0);
	assert_true(cgroup_leaf_gone(before));
	assert_int_equal(tick_service_prepare(machine.tick, 1), 0);
	assert_int_equal(said("db: its cgroup was removed, and is made again"), 1);
	assert_true(fake_cgroup_exists("box/db"));
	assert_true(fake_cgroup_reads("box/db", "memory.max", "67108864"));
	assert_false(cgroup_leaf_gone(tick_leaf(machine.tick, 1)));
	assert_non_null(tick_link(machine.tick, 1));
	fake_machine_turn(1000);
}

/* The leaf's and the one of all services; the loop stops waiting for the old ones before they
 * close. */
static void test_new_thresholds_get_new_triggers(void **state)
{
	const size_t previous[] = {0};
	(void)state;
	fake_machine_start("[policy:p]\nlazy_pressure = some 5% 2s\n" WEB "policy = p\n");
	fake_machine_turn(1000);
	struct tick_watch leaf = watch_of(0, TICK_WATCH_PSI);
	struct tick_watch all = watch_of(SIZE_MAX, TICK_WATCH_PSI);
	assert_true(is_open(leaf.fd) && is_open(all.fd));
	tick_watches_settled(machine.tick);
	uint64_t generation = tick_watches_generation(machine.tick);
	machine.trigger_count = 0;
	reload("[policy:p]\nlazy_pressure = some 5% 2s\n" WEB "policy = p\n", previous, 1);
	fake_machine_turn(1000);
	assert_int_equal(machine.trigger_count, 0);
	assert_int_equal(watch_of(0, TICK_WATCH_PSI).fd, leaf.fd);
	reload("[policy:p]\nlazy_pressure = some 2% 4s\n" WEB "policy = p\n", previous, 1);
	fake_machine_turn(1000);
	assert_int_equal(machine.trigger_count, 2);
	assert_int_equal(machine.trigger.kind, CONFIG_PSI_SOME);
	assert_int_equal(machine.trigger.permille, 20);
	assert_int_equal(machine.trigger.window_ms, 4000);
	assert_true(tick_watches_generation(machine.tick) != generation);
	assert_int_not_equal(watch_of(0, TICK_WATCH_PSI).fd, leaf.fd);
	assert_int_not_equal(watch_of(SIZE_MAX, TICK_WATCH_PSI).fd, all.fd);
	assert_true(is_open(leaf.fd) && is_open(all.fd));
	tick_watches_settled(machine.tick);
	assert_false(is_open(leaf.fd) || is_open(all.fd));
	reload("[policy:p]\nlazy_pressure = off\n" WEB "policy = p\n", previous, 1);
	fake_machine_turn(1000);
	assert_int_equal(machine.trigger_count, 2);
	assert_int_equal(watch_of(0, TICK_WATCH_PSI).fd, -1);
	tick_watches_settled(machine.tick);
}

/* What memory_high is when the brake comes off is what the new config says. */
static void test_a_new_memory_high_outlives_the_brake(void **state)
{
	const size_t previous[] = {0};
	(void)state;
	fake_machine_start("[service:db]\ncommand = y\nmemory_max = 64M\n");
	fake_machine_turn(600000);
	fake_machine_use("box/db", 63 * MIB);
	fake_machine_turn(600000);
	assert_true(fake_machine_counts(0).brakes > 0);
	reload("[service:db]\ncommand = y\nmemory_max = 64M\nmemory_high = 48M\n", previous, 1);
	tick_service_ended(machine.tick, 0);
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
	const size_t previous[] = {0};
	(void)state;
	fake_machine_start(DB);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		/* The tick still holds the config before, so they take turns. */
		static struct config kept;
		fake_machine_load(rows[i].text, &kept);
		tick_reload(machine.tick, &kept, previous);
		config_free(&next_config);
		next_config = kept;
		tick_reload(machine.tick, &next_config, previous);
		fake_machine_turn(10);
		assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.max", rows[i].max)));
		assert_true(fake_cgroup_reads("box/db", "memory.high", rows[i].high));
	}
	fake_cgroup.refuse_file = "memory.max";
	fake_cgroup.refuse_errno = EBUSY;
	tick_reload(machine.tick, &next_config, previous);
	assert_int_equal(said("db: new limits: Device or resource busy"), 1);
}

static void test_a_removed_service_leaves_nothing_but_its_descriptors(void **state)
{
	const size_t previous[] = {1};
	struct tick_watch gone[TICK_WATCHES_MAX];
	(void)state;
	fake_machine_start(WEB DB);
	uint64_t generation = tick_watches_generation(machine.tick);
	size_t count = watches_of(0, gone);
	assert_int_equal(count, 3);
	reload(DB, previous, COUNT(previous));
	assert_false(fake_cgroup_exists("box/web"));
	assert_true(fake_cgroup_exists("box/db"));
	assert_true(tick_watches_generation(machine.tick) != generation);
	/* The loop still waits for them. */
	for (size_t i = 0; i < count; i++)
		assert_true(is_open(gone[i].fd));
	/* One fires before the list is read again: its number means another service now. */
	struct tick_counts before = fake_machine_counts(0);
	for (size_t i = 0; i < count; i++)
		tick_woken(machine.tick, &gone[i], machine.now_ms);
	struct tick_counts after = fake_machine_counts(0);
	assert_int_equal(before.psi_wakes + before.events_wakes + before.doorbell_wakes,
		after.psi_wakes + after.events_wakes + after.doorbell_wakes);
	tick_watches_settled(machine.tick);
	for (size_t i = 0; i < count; i++)
		assert_false(is_open(gone[i].fd));
	fake_machine_turn(1000);
}

static void test_a_busy_cgroup_is_left_for_later_and_its_name_as_well(void **state)
{
	const size_t none[] = {1};
	const size_t back[] = {0, SIZE_MAX};
	(void)state;
	fake_machine_start(WEB DB);
	struct fake_child *stuck = fake_children_add(0);
	stuck->unkillable = true;
	assert_int_equal(cgroup_leaf_attach(tick_leaf(machine.tick, 0), stuck->pid), 0);
	reload(DB, none, COUNT(none));
	assert_int_equal(said("web: its cgroup is still busy, left for later"), 1);
	tick_watches_settled(machine.tick);
	config_free(&machine.config);
	machine.config = next_config;
	memset(&next_config, 0, sizeof next_config);
	const size_t same[] = {0};
	tick_reload(machine.tick, &machine.config, same);
	/* It comes back, renamed as far as the kernel is concerned. */
	reload(DB WEB, back, COUNT(back));
	assert_int_equal(tick_service_prepare(machine.tick, 1), 0);
	assert_non_null(strstr(cgroup_leaf_directory(tick_leaf(machine.tick, 1)), "/box/web-2"));
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
	struct link *link = tick_link(machine.tick, 0);
	assert_int_equal(tick_service_prepare(machine.tick, 0), 0);
	assert_ptr_equal(tick_link(machine.tick, 0), link);
	assert_true(tick_watches_generation(machine.tick) == generation);
	assert_false(fake_cgroup_exists("box/web-2"));
}

static void test_a_service_that_cannot_be_prepared_is_tried_again(void **state)
{
	static const char *const refused[] = {"memory.max", "memory.high"};
	(void)state;
	fake_machine_load(WEB, &machine.config);
	assert_int_equal(tick_open(&machine.config, &machine.tick), 0);
	fake_cgroup.refuse_mkdir_errno = ENOSPC;
	assert_int_equal(tick_service_prepare(machine.tick, 0), -ENOSPC);
	fake_cgroup.refuse_mkdir_errno = 0;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		fake_cgroup.refuse_file = refused[i];
		fake_cgroup.refuse_errno = EPERM;
		assert_int_equal(tick_service_prepare(machine.tick, 0), -EPERM);
		assert_null(tick_leaf(machine.tick, 0));
		assert_null(tick_link(machine.tick, 0));
		/* It runs on without: turns, its end, its removal. */
		tick_service_started(machine.tick, 0);
		fake_machine_turn(1000);
		assert_int_equal(tick_service_ended(machine.tick, 0), 0);
		tick_service_remove(machine.tick, 0, 0);
	}
	assert_int_equal(tick_service_prepare(machine.tick, 0), 0);
	assert_non_null(strstr(cgroup_leaf_directory(tick_leaf(machine.tick, 0)), "/box/web"));
	assert_false(fake_cgroup_exists("box/web-2"));
}

static void test_wakes_are_counted_by_what_woke(void **state)
{
	static const struct {
		enum tick_watch_kind kind;
		uint64_t psi, events, doorbell;
	} rows[] = {
		{TICK_WATCH_PSI, 1, 0, 0},
		{TICK_WATCH_EVENTS, 1, 1, 0},
		{TICK_WATCH_DOORBELL, 1, 1, 1},
		{TICK_WATCH_DOORBELL, 1, 1, 2},
	};
	(void)state;
	fake_machine_start(WEB DB);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct tick_watch watch = watch_of(1, rows[i].kind);
		tick_woken(machine.tick, &watch, machine.now_ms);
		struct tick_counts counts = fake_machine_counts(1);
		assert_int_equal(counts.psi_wakes, rows[i].psi);
		assert_int_equal(counts.events_wakes, rows[i].events);
		assert_int_equal(counts.doorbell_wakes, rows[i].doorbell);
	}
	assert_int_equal(fake_machine_counts(0).doorbell_wakes, 0);
}

static void test_a_dead_file_is_not_waited_for_any_more(void **state)
{
	static const enum tick_watch_kind kinds[] = {TICK_WATCH_PSI, TICK_WATCH_EVENTS};
	static const size_t services[] = {0, SIZE_MAX};
	(void)state;
	fake_machine_start(WEB DB);
	machine.triggers_dead = true;
	machine.events_dead = true;
	for (size_t s = 0; s < 2; s++) {
		for (size_t k = 0; k < 2; k++) {
			const struct tick_watch dead = watch_of(services[s], kinds[k]);
			uint64_t generation = tick_watches_generation(machine.tick);
			assert_true(dead.fd >= 0);
			tick_woken(machine.tick, &dead, machine.now_ms);
			assert_true(tick_watches_generation(machine.tick) != generation);
			assert_int_equal(watch_of(services[s], kinds[k]).fd, -1);
			assert_true(is_open(dead.fd));
			tick_watches_settled(machine.tick);
			assert_false(is_open(dead.fd));
			/* A wake that was on its way finds nothing. */
			generation = tick_watches_generation(machine.tick);
			tick_woken(machine.tick, &dead, machine.now_ms);
			assert_true(tick_watches_generation(machine.tick) == generation);
		}
	}
	assert_true(watch_of(1, TICK_WATCH_PSI).fd >= 0);
	fake_machine_turn(1000);
}

static void test_without_triggers_and_events_there_are_turns(void **state)
{
	(void)state;
	machine.triggers_refused = true;
	fake_machine_start(WEB);
	assert_int_equal(said("mode B: "), 1);
	assert_int_equal(watch_of(0, TICK_WATCH_PSI).fd, -1);
	assert_true(watch_of(0, TICK_WATCH_DOORBELL).fd >= 0);
	fake_machine_turn(1000);
	fake_machine_use("box", 250 * MIB);
	fake_machine_turn(600000);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
}

/* Every service that there can be, all new ones in their place, and back: slots of the brake and
 * keys of the door are as many as services. */
static void test_all_services_can_be_exchanged(void **state)
{
	static char text[2][CONFIG_SERVICES_MAX * 64];
	size_t previous[CONFIG_SERVICES_MAX];
	struct descriptors descriptors = {0};
	descriptors_raise(&descriptors);
	(void)state;
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		previous[i] = SIZE_MAX;
		for (size_t t = 0; t < 2; t++)
			snprintf(text[t] + strlen(text[t]), 64, "[service:%c%zu]\ncommand = x\n",
				"ab"[t], i);
	}
	fake_machine_start(text[0]);
	struct tick_watch watch[TICK_WATCHES_MAX];
	assert_int_equal(tick_watches(machine.tick, watch), TICK_WATCHES_MAX);
	fake_machine_turn(1000);
	reload(text[1], previous, COUNT(previous));
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		assert_int_equal(tick_service_prepare(machine.tick, i), 0);
		tick_service_started(machine.tick, i);
	}
	tick_watches_settled(machine.tick);
	assert_int_equal(tick_watches(machine.tick, watch), TICK_WATCHES_MAX);
	fake_machine_turn(1000);
	assert_false(fake_cgroup_exists("box/a0"));
	assert_true(fake_cgroup_exists("box/b63"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_services_move_with_all_that_is_theirs),
		TEST(test_a_level_goes_with_its_service),
		TEST(test_a_leaf_that_was_removed_is_made_again),
		TEST(test_new_thresholds_get_new_triggers),
		TEST(test_a_new_memory_high_outlives_the_brake),
		TEST(test_new_limits_are_written_and_old_ones_lifted),
		TEST(test_a_removed_service_leaves_nothing_but_its_descriptors),
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
