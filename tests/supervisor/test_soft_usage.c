#include "supervisor/tick/soft_usage.h"

#include <stdio.h>
#include <sys/mman.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define MIB (UINT64_C(1) << 20)

static struct {
	struct link *link;
	struct link_gate *gate;
	struct link_slot *slot;
	struct fake_tree proc;
	struct soft_usage usage;
} box;

static int setup(void **state)
{
	(void)state;
	box.usage = (struct soft_usage){0};
	assert_int_equal(link_open("web", NULL, &box.link), 0);
	box.gate = mmap(NULL, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		link_fds(box.link)[LINK_FILE_SLOTS], 0);
	assert_ptr_not_equal(box.gate, MAP_FAILED);
	box.slot = (void *)((char *)box.gate + LINK_PAGE_BYTES);
	fake_tree_open(&box.proc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(box.gate, LINK_BYTES);
	link_close(box.link);
	fake_tree_close(&box.proc);
	return 0;
}

/* A process of the service: what its heap has, and its proportional set, in MiB. */
static void process(unsigned pid, uint64_t heap_mib, unsigned pss_mib)
{
	struct link_slot *slot = &box.slot[pid - 100];
	char path[64];
	char text[256];
	snprintf(path, sizeof path, "%u/stat", pid);
	snprintf(text, sizeof text, "%u (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", pid);
	fake_tree_write(&box.proc, path, text);
	snprintf(path, sizeof path, "%u/smaps_rollup", pid);
	snprintf(text, sizeof text,
		"5 ---p 0 0 0 [rollup]\nRss: 9 kB\nPss: %u kB\nPss_Anon: 1 kB\n", pss_mib * 1024);
	fake_tree_write(&box.proc, path, text);
	slot->owner = UINT64_C(7) << 32 | pid;
	slot->in_use_bytes = heap_mib / 2 * MIB;
	slot->idle_dirty_bytes = (heap_mib - heap_mib / 2) * MIB;
	slot->version = LINK_VERSION;
	slot->start_ticks = 7;
}

static uint64_t usage_at(uint64_t now_ms)
{
	struct link_totals totals;
	link_read(box.link, box.proc.fd, now_ms, &totals);
	return soft_usage_bytes(&box.usage, box.link, &totals, box.proc.fd, now_ms);
}

static void test_heaps_and_what_else_their_processes_have(void **state)
{
	(void)state;
	process(100, 40, 50);
	process(101, 20, 25);
	assert_int_equal(usage_at(1000), 75 * MIB);
}

static void test_the_heaps_are_seen_at_once_and_the_rest_is_read_rarely(void **state)
{
	(void)state;
	process(100, 40, 50);
	assert_int_equal(usage_at(1000), 50 * MIB);
	process(100, 60, 90);
	assert_int_equal(usage_at(1001), 70 * MIB);
	assert_int_equal(usage_at(1000 + SOFT_USAGE_PSS_MS), 90 * MIB);
}

/* A set that is smaller than the heaps is shared with other services, or just given back. */
static void test_a_smaller_set_takes_nothing_off(void **state)
{
	(void)state;
	process(100, 40, 10);
	assert_int_equal(usage_at(1000), 40 * MIB);
}

static void test_a_service_without_processes_is_read_when_there_are_some(void **state)
{
	(void)state;
	assert_int_equal(usage_at(1000), 0);
	process(100, 40, 50);
	assert_int_equal(usage_at(1001), 50 * MIB);
}

static void test_of_many_processes_some_stand_for_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * SOFT_USAGE_PROCESSES; i++)
		process(100 + i, 2, 3);
	assert_int_equal(usage_at(1000), 6 * MIB * SOFT_USAGE_PROCESSES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_heaps_and_what_else_their_processes_have),
		TEST(test_the_heaps_are_seen_at_once_and_the_rest_is_read_rarely),
		TEST(test_a_smaller_set_takes_nothing_off),
		TEST(test_a_service_without_processes_is_read_when_there_are_some),
		TEST(test_of_many_processes_some_stand_for_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
