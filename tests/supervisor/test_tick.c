/* From files to levels, limits, brakes and counts, turn by turn on fake cgroups. */

#include "supervisor/tick/tick.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shim/protocol.h"
#include "supervisor/cgroup/limit_watch.h"
#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_machine.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

#define WEB "[service:web]\ncommand = x\n"
#define WEB_AND_DB WEB "[service:db]\ncommand = y\nmemory_max = 64M\nmemory_high = 25%\n"

/* Long enough for what grew between two turns to be slow growth. */
#define SLOW_MS 600000U

static void test_levels_follow_the_headroom_up_and_down(void **state)
{
	static const struct {
		uint64_t used_mib;
		enum level level;
	} rows[] = {
		{100, LEVEL_CALM},
		{191, LEVEL_CALM},
		{193, LEVEL_LAZY},
		{217, LEVEL_LAZY},
		{219, LEVEL_EAGER},
		{235, LEVEL_EAGER},
		{237, LEVEL_FULL},
		{300, LEVEL_FULL},
		{100, LEVEL_CALM},
		{250, LEVEL_FULL},
		{0, LEVEL_CALM},
	};
	(void)state;
	fake_machine_start(WEB_AND_DB);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_machine_use("box", rows[i].used_mib * MIB);
		fake_machine_turn(SLOW_MS);
		/* A fall is not believed before it has held for a while. */
		for (int turn = 0; turn < 3; turn++)
			fake_machine_turn(SLOW_MS);
		assert_int_equal(fake_machine_level(0), rows[i].level);
		assert_int_equal(fake_machine_level(1), rows[i].level);
	}
}

static void test_a_dry_run_changes_nothing_and_a_reload_ends_it(void **state)
{
	(void)state;
	fake_machine_start(
		"[supervisor]\ndry_run = yes\n" WEB "[service:db]\ncommand = y\ndry_run = no\n");
	fake_machine_turn(SLOW_MS);
	fake_machine_use("box", 240 * MIB);
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	assert_int_equal(said("web: dry run: would "), 1);
	assert_int_equal(said("db: dry run"), 0);
	fake_machine_reload(WEB "[service:db]\ncommand = y\ndry_run = yes\n");
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
	assert_int_equal(fake_machine_level(1), LEVEL_CALM);
}

static void test_a_level_rises_at_once_and_falls_after_a_while(void **state)
{
	(void)state;
	fake_machine_start(WEB);
	fake_machine_turn(SLOW_MS);
	fake_machine_use("box", 240 * MIB);
	assert_true(fake_machine_turn(SLOW_MS) <= 50);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
	fake_machine_use("box", 10 * MIB);
	fake_machine_turn(10);
	fake_machine_turn(4900);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
	fake_machine_turn(200);
	assert_true(fake_machine_level(0) < LEVEL_FULL);
}

/* The wall of the leaf is its own: only the service below it is pressed. */
static void test_a_leafs_own_limit_presses_that_service_alone(void **state)
{
	(void)state;
	fake_machine_start(WEB_AND_DB);
	assert_true(fake_cgroup_reads("box/db", "memory.max", "67108864"));
	assert_true(fake_cgroup_reads("box/db", "memory.high", "67108864"));
	assert_true(fake_cgroup_reads("box/web", "memory.max", "max"));
	fake_machine_turn(SLOW_MS);
	fake_machine_use("box/db", 62 * MIB);
	fake_machine_use("box", 72 * MIB);
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
	/* A limit that somebody raises by hand is the limit. */
	fake_cgroup_set("box/db", "memory.max", "max\n");
	for (int turn = 0; turn < 5; turn++)
		fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(1), LEVEL_CALM);
}

static void test_a_limit_that_changes_is_seen_by_the_next_turn(void **state)
{
	(void)state;
	fake_machine_start(WEB);
	fake_machine_use("box", 100 * MIB);
	fake_machine_turn(SLOW_MS);
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
	fake_cgroup_set("box", "memory.max", "110100480\n");
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(0), LEVEL_FULL);
}

static bool is_told_of_limits(void)
{
	struct pollfd ready = {
		.fd = tick_watch_fd(machine.tick, NULL, TICK_WATCH_LIMITS), .events = POLLIN};
	return poll(&ready, 1, 0) == 1;
}

/* Of all services and of each.  A short command never pays for it. */
static void test_limits_are_watched_once_the_start_is_over(void **state)
{
	static const char *const cgroups[] = {"box", "box/db"};
	(void)state;
	fake_machine_start(WEB_AND_DB);
	assert_true(fake_machine_turn(1) <= LIMIT_WATCH_AFTER_MS);
	fake_machine_turn(LIMIT_WATCH_AFTER_MS - 1);
	assert_int_equal(tick_watch_fd(machine.tick, NULL, TICK_WATCH_LIMITS), -1);
	for (size_t i = 0; i < sizeof cgroups / sizeof cgroups[0]; i++) {
		uint64_t generation = tick_watches_generation(machine.tick);
		fake_machine_turn(LIMIT_WATCH_AFTER_MS);
		assert_true(tick_watch_fd(machine.tick, NULL, TICK_WATCH_LIMITS) >= 0);
		assert_int_not_equal(tick_watches_generation(machine.tick), generation);
		assert_false(is_told_of_limits());
		fake_cgroup_set(cgroups[i], "memory.max", "50331648\n");
		assert_true(is_told_of_limits());
		tick_woken(machine.tick, NULL, TICK_WATCH_LIMITS, machine.now_ms);
	}
}

/* What cannot be read presses nobody, stops nothing, and works again when it is back. */
static void test_broken_files_press_nobody(void **state)
{
	static const struct {
		const char *cgroup;
		const char *file;
		const char *good;
	} files[] = {
		{"box", "memory.current", "251658240\n"},
		{"box", "memory.max", FAKE_MACHINE_LIMIT_TEXT},
	};
	static const char *const texts[] = {"", "\n", " ", "x", "-1\n", "1 2\n", "0x10\n", "12cm\n",
		"99999999999999999999999\n", "maximum\n", "max max\n", "\xff\xff\xff\xff"};
	(void)state;
	fake_machine_start(WEB_AND_DB);
	for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
		fake_machine_use("box", 240 * MIB);
		for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
			fake_cgroup_set(files[f].cgroup, files[f].file, texts[i]);
			for (int turn = 0; turn < 4; turn++) {
				uint32_t next_ms = fake_machine_turn(SLOW_MS);
				assert_true(next_ms >= 1 && next_ms <= 1000);
			}
			assert_int_equal(fake_machine_level(0), LEVEL_CALM);
			fake_cgroup_set(files[f].cgroup, files[f].file, files[f].good);
			fake_machine_turn(SLOW_MS);
			assert_int_equal(fake_machine_level(0), LEVEL_FULL);
		}
	}
}

/* These only add to what is known: without them the headroom decides alone. */
static void test_broken_extra_files_change_nothing(void **state)
{
	static const char *const files[] = {
		"memory.stat", "memory.events", "memory.events.local", "memory.pressure"};
	static const char *const cgroups[] = {"box", "box/web"};
	static const char *const texts[] = {"", "\n", "max\n", "some\n", "some total=\n",
		"some avg10=x total=-1\nfull total=1\n", "inactive_file\n", "inactive_file -5\n",
		"oom_kill 18446744073709551616\nmax 1\n", "max 99999999999999999999999999\n"};
	(void)state;
	fake_machine_start(WEB);
	for (size_t c = 0; c < sizeof cgroups / sizeof cgroups[0]; c++) {
		for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
			for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
				fake_cgroup_set(cgroups[c], files[f], texts[i]);
				fake_machine_use("box", 100 * MIB);
				for (int turn = 0; turn < 4; turn++)
					fake_machine_turn(SLOW_MS);
				assert_int_equal(fake_machine_level(0), LEVEL_CALM);
				fake_machine_use("box", 240 * MIB);
				fake_machine_turn(SLOW_MS);
				assert_int_equal(fake_machine_level(0), LEVEL_FULL);
			}
		}
	}
	assert_int_equal(said("OOM-killed"), 0);
}

/* A file cache that the kernel takes by itself is not pressure, however much is claimed. */
static void test_reclaimable_is_no_more_than_what_is_used(void **state)
{
	static const struct {
		const char *stat;
		enum level level;
	} rows[] = {
		{"inactive_file 209715200\nactive_file 0\n", LEVEL_CALM},
		{"inactive_file 18446744073709551615\nactive_file 18446744073709551615\n",
			LEVEL_CALM},
		{"inactive_file 209715200\nfile_dirty 209715200\nactive_file 0\n", LEVEL_CALM},
		{"inactive_file 0\nactive_file 0\n", LEVEL_FULL},
	};
	(void)state;
	fake_machine_start(WEB);
	fake_machine_use("box", 240 * MIB);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_cgroup_set("box", "memory.stat", rows[i].stat);
		for (int turn = 0; turn < 5; turn++)
			fake_machine_turn(SLOW_MS);
		assert_int_equal(fake_machine_level(0), rows[i].level);
	}
}

static void write_v1(void)
{
	char text[256];
	fake_tree_write(&fake_cgroup.tree, "proc/self/cgroup", "4:memory:/box\n");
	snprintf(text, sizeof text, "35 31 0:32 / %s/v1 rw - cgroup cgroup rw,memory\n",
		fake_cgroup.tree.path);
	fake_tree_write(&fake_cgroup.tree, "proc/self/mountinfo", text);
	fake_tree_write(&fake_cgroup.tree, "v1/box/cgroup.procs", "1\n");
	fake_tree_write(&fake_cgroup.tree, "v1/box/memory.limit_in_bytes", FAKE_MACHINE_LIMIT_TEXT);
	fake_tree_write(&fake_cgroup.tree, "v1/box/memory.usage_in_bytes", "251658240\n");
}

static void no_cgroups(void)
{
	fake_tree_write(&fake_cgroup.tree, "proc/self/cgroup", "");
}

static void refuse_the_leaf(void)
{
	/* Counted by the probe's child already. */
	fake_cgroup.refuse_file = "cgroup.subtree_control";
	fake_cgroup.refuse_errno = EBUSY;
	fake_cgroup_set("box", "memory.current", "251658240\n");
}

static void use_nearly_all(void)
{
	/* A stranger. */
	fake_cgroup_put("box", fake_children_add(0)->pid);
	fake_cgroup_set("box", "memory.current", "251658240\n");
}

static size_t count_watches(void)
{
	size_t count = 0;
	for (enum tick_watch_kind kind = 0; kind < TICK_WATCH_KINDS; kind++) {
		count += tick_watch_fd(machine.tick, NULL, kind) >= 0;
		count += tick_watch_fd(machine.tick, machine.service[0], kind) >= 0;
	}
	return count;
}

/* What a mode has, and that everything else works without it. */
static void test_every_mode_does_what_it_can(void **state)
{
	static const struct {
		void (*prepare)(void);
		const char *line;
		bool leaf;
		bool triggers;
		size_t watches; /* for one service, those common to all included */
		enum level level;
	} rows[] = {
		{NULL, "mode A: ", true, true, 7, LEVEL_CALM},
		{use_nearly_all, "mode C: ", false, false, 4, LEVEL_FULL},
		{refuse_the_leaf, "mode C: ", false, false, 4, LEVEL_FULL},
		{write_v1, "mode D: memory controller on cgroup v1 at ", false, false, 3,
			LEVEL_FULL},
		{no_cgroups, "mode D: no memory controller", false, false, 3, LEVEL_CALM},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		said_clear();
		if (rows[i].prepare != NULL)
			rows[i].prepare();
		fake_machine_start(WEB);
		assert_int_equal(said(rows[i].line), 1);
		assert_int_equal(machine.service[0]->leaf != NULL, rows[i].leaf);
		assert_non_null(machine.service[0]->link);
		for (int turn = 0; turn < 3; turn++)
			fake_machine_turn(SLOW_MS);
		assert_int_equal(count_watches(), rows[i].watches);
		assert_int_equal(fake_machine_level(0), rows[i].level);
		assert_true(fake_cgroup_has(rows[i].leaf ? "box/supervisor" : "box", getpid()));
		assert_int_equal(tick_service_ended(machine.tick, machine.service[0], true, 0), 0);
		if (i + 1 == sizeof rows / sizeof rows[0])
			break;
		fake_machine_close();
		fake_machine_open();
	}
}

static void test_the_brake_goes_on_near_the_wall_and_off_with_the_service(void **state)
{
	(void)state;
	fake_machine_start("[service:db]\ncommand = y\nmemory_max = 100M\nmemory_high = 90M\n");
	for (int turn = 0; turn < 3; turn++)
		fake_machine_turn(1000);
	/* It grows by 30 MiB a second, and is next to its limit. */
	for (uint64_t used = 5; used <= 95; used += 30) {
		fake_machine_use("box/db", used * MIB);
		fake_machine_turn(1000);
	}
	fake_machine_use("box/db", 98 * MIB);
	fake_machine_turn(50);
	assert_true(fake_machine_counts(0).brakes >= 1);
	assert_true(WAIT_UNTIL(30, !fake_cgroup_reads("box/db", "memory.high", "94371840")));
	tick_service_ended(machine.tick, machine.service[0], true, 0);
	assert_true(WAIT_UNTIL(30, fake_cgroup_reads("box/db", "memory.high", "94371840")));
	assert_int_equal(fake_machine_level(0), LEVEL_CALM);
}

/* As the first service sees its link. */
struct view {
	const struct link_header *header;
	struct link_gate *gate;
	struct link_slot *slots;
};

static struct view view_open(void)
{
	const int *fd = link_fds(machine.service[0]->link);
	struct view view;
	view.header = mmap(NULL, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED, fd[LINK_FILE_HEADER], 0);
	assert_true(view.header != MAP_FAILED);
	view.gate =
		mmap(NULL, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[LINK_FILE_SLOTS], 0);
	assert_true(view.gate != MAP_FAILED);
	view.slots = (struct link_slot *)((char *)view.gate + LINK_PAGE_BYTES);
	return view;
}

static void view_close(struct view *view)
{
	munmap((void *)view->header, LINK_HEADER_BYTES);
	munmap(view->gate, LINK_BYTES);
}

/* A service may write what it likes into its link: the levels come from the cgroups all the same,
 * and the other service does not notice. */
static void test_a_link_full_of_rubbish_decides_nothing(void **state)
{
	uint64_t seed = 88172645463325252U;
	(void)state;
	fake_machine_start(WEB_AND_DB);
	fake_machine_use("box", 100 * MIB);
	struct view view = view_open();
	uint64_t *words = (uint64_t *)view.gate;
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < LINK_BYTES / sizeof *words; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			words[i] = round % 2 == 0 ? seed : UINT64_MAX;
		}
		uint32_t next_ms = fake_machine_turn(SLOW_MS);
		assert_true(next_ms >= 1);
		assert_int_equal(fake_machine_level(1), LEVEL_CALM);
	}
	fake_machine_use("box", 240 * MIB);
	fake_machine_turn(SLOW_MS);
	assert_int_equal(fake_machine_level(1), LEVEL_FULL);
	view_close(&view);
}

static void join(struct link_slot *slot, pid_t pid, uint64_t idle_bytes)
{
	char path[64];
	char text[256];
	snprintf(path, sizeof path, "proc/%ld/stat", (long)pid);
	snprintf(text, sizeof text, "%ld (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0\n",
		(long)pid);
	fake_tree_write(&fake_cgroup.tree, path, text);
	atomic_store(&slot->version, LINK_VERSION);
	atomic_store(&slot->start_ticks, 77);
	atomic_store(&slot->has_thread, 1);
	atomic_store(&slot->idle_dirty_bytes, idle_bytes);
	atomic_store(&slot->owner, UINT64_C(77) << 32 | (uint64_t)pid);
}

/* What the operator asks for is asked once, of those that were named. */
static void test_a_wish_is_a_release_and_only_one(void **state)
{
	(void)state;
	fake_machine_start(WEB_AND_DB);
	struct view view = view_open();
	join(&view.slots[0], 4242, 30 * MIB);
	fake_machine_turn(1000);
	assert_int_equal(fake_machine_counts(0).heap.heap.processes, 1);
	tick_ask(machine.tick, machine.service[1], LEVEL_FULL, 0);
	fake_machine_turn(1000);
	assert_int_equal(fake_machine_counts(0).releases[LEVEL_FULL], 0);
	tick_ask(machine.tick, NULL, LEVEL_FULL, 0);
	uint32_t before = atomic_load(&view.header->sequence);
	fake_machine_turn(1000);
	assert_int_equal(fake_machine_counts(0).releases[LEVEL_FULL], 1);
	assert_true(atomic_load(&view.header->sequence) != before);
	assert_int_equal(atomic_load(&view.header->release_level), LINK_FULL);
	for (int turn = 0; turn < 5; turn++)
		fake_machine_turn(1000);
	assert_int_equal(fake_machine_counts(0).releases[LEVEL_FULL], 1);
	/* Unanswered, it is told of after its second. */
	assert_int_equal(said("web: full: asked for by hand; asked all of 1 process; returned 0 in "
			      "1000ms so far, not all answered"),
		1);
	view_close(&view);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_machine_setup, fake_machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_levels_follow_the_headroom_up_and_down),
		TEST(test_a_dry_run_changes_nothing_and_a_reload_ends_it),
		TEST(test_a_level_rises_at_once_and_falls_after_a_while),
		TEST(test_a_leafs_own_limit_presses_that_service_alone),
		TEST(test_a_limit_that_changes_is_seen_by_the_next_turn),
		TEST(test_limits_are_watched_once_the_start_is_over),
		TEST(test_broken_files_press_nobody),
		TEST(test_broken_extra_files_change_nothing),
		TEST(test_reclaimable_is_no_more_than_what_is_used),
		TEST(test_every_mode_does_what_it_can),
		TEST(test_the_brake_goes_on_near_the_wall_and_off_with_the_service),
		TEST(test_a_link_full_of_rubbish_decides_nothing),
		TEST(test_a_wish_is_a_release_and_only_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
