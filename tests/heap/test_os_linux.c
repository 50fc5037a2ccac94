#include "shim/heap/base/os.h"
#include "tests/support/panic.h"
#include "tests/support/skip.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES ((size_t)200)

static unsigned char *memory;
static size_t page;

static int setup(void **state)
{
	(void)state;
	page = os_page_bytes();
	memory = os_reserve(PAGES * page, (size_t)4 << 20);
	return memory == NULL || os_commit(memory, PAGES * page) != 0;
}

static int teardown(void **state)
{
	(void)state;
	os_unreserve(memory, PAGES * page);
	return 0;
}

static bool is_resident(size_t i)
{
	unsigned char answer = 0;

	assert_int_equal(mincore(memory + i * page, page, &answer), 0);
	return (answer & 1) != 0;
}

static void test_reserved_memory_is_aligned_zero_and_committed_on_demand(void **state)
{
	(void)state;
	assert_int_equal((uintptr_t)memory % ((size_t)4 << 20), 0);
	for (size_t i = 0; i < PAGES; i++) {
		assert_false(is_resident(i));
		assert_int_equal(memory[i * page], 0);
	}
	assert_null(os_reserve(SIZE_MAX - 4096, page));
	assert_null(os_reserve((size_t)1 << 50, page));
}

static void test_what_is_resident_is_counted_over_any_range(void **state)
{
	size_t pages = 1500;
	unsigned char *wide = os_reserve(pages * page, page);

	(void)state;
	assert_int_equal(os_commit(wide, pages * page), 0);
	wide[0] = 1;
	wide[511 * page] = 1;
	wide[512 * page] = 1;
	wide[(pages - 1) * page] = 1;
	errno = 77;
	assert_int_equal(os_resident_bytes(wide, pages * page), 4 * page);
	assert_int_equal(os_resident_bytes(wide + page, 511 * page), page);
	assert_int_equal(os_resident_bytes(wide + 600 * page, 800 * page), 0);
	assert_int_equal(os_resident_bytes(wide + 1, page), page);
	assert_int_equal(errno, 77);
	os_unreserve(wide, pages * page);
}

static void test_a_reservation_grows_in_place_unless_something_is_there(void **state)
{
	unsigned char *space = os_reserve(10 * page, page);

	(void)state;
	os_unreserve(space + 2 * page, 8 * page);
	errno = 77;
	assert_int_equal(os_reserve_at(space + 2 * page, 4 * page), OS_RESERVED);
	assert_int_equal(os_commit(space, 6 * page), 0);
	space[0] = 1;
	space[6 * page - 1] = 2;
	assert_int_equal(os_reserve_at(space + 5 * page, 2 * page), OS_OCCUPIED);
	assert_int_equal(space[0], 1);
	assert_int_equal(space[6 * page - 1], 2);
	assert_int_equal(errno, 77);
	os_unreserve(space, 6 * page);
}

static void test_what_is_decommitted_is_zero_when_it_is_committed_again(void **state)
{
	unsigned char *space = os_reserve(3 * page, page);

	(void)state;
	assert_int_equal(os_commit(space, 3 * page), 0);
	memset(space, 3, 3 * page);
	assert_int_equal(os_decommit(space + page, page), 0);
	assert_int_equal(os_resident_bytes(space, 3 * page), 2 * page);
	assert_int_equal(os_commit(space + page, page), 0);
	assert_int_equal(space[page - 1], 3);
	assert_int_equal(space[page], 0);
	assert_int_equal(space[2 * page], 3);
	os_unreserve(space, 3 * page);
}

static void test_many_ranges_are_advised_and_the_others_kept(void **state)
{
	struct os_range ranges[OS_RANGES_MAX];

	(void)state;
	errno = 77;
	memset(memory, 5, PAGES * page);
	for (size_t i = 0; i < OS_RANGES_MAX; i++)
		ranges[i] = (struct os_range){memory + (3 * i + 1) * page, page * (1 + i % 2)};
	assert_int_equal(os_advise(ranges, OS_RANGES_MAX, OS_FREE), 0);
	assert_int_equal(os_advise(ranges, OS_RANGES_MAX, OS_DONTNEED), 0);
	for (size_t i = 0; i < (size_t)3 * OS_RANGES_MAX; i++) {
		bool gone = i % 3 == 1 || (i % 3 == 2 && i / 3 % 2 == 1);

		assert_int_equal(is_resident(i), !gone);
		assert_int_equal(memory[i * page], gone ? 0 : 5);
	}
	assert_int_equal(errno, 77);
}

static void test_an_impossible_range_is_an_error_and_the_rest_is_done(void **state)
{
	struct os_range ranges[3] = {
		{memory, page},
		{memory + 1, page},
		{memory + 2 * page, page},
	};

	(void)state;
	errno = 77;
	memset(memory, 5, PAGES * page);
	assert_true(os_advise(ranges, 3, OS_DONTNEED) < 0);
	assert_false(is_resident(0));
	assert_true(is_resident(1));
	assert_false(is_resident(2));
	assert_int_equal(errno, 77);
}

static void test_populate_makes_resident(void **state)
{
	struct os_range range = {memory, PAGES * page};
	int error;

	(void)state;
	assert_int_equal(os_advise(&range, 1, OS_DONTNEED), 0);
	error = os_advise(&range, 1, OS_POPULATE);
	if (error == -EINVAL)
		skip_because("this kernel cannot populate: it is older than 5.14");
	assert_int_equal(error, 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_true(is_resident(i));
}

static _Atomic uint32_t word;

static void *run_waker(void *arg)
{
	atomic_store(&word, 1);
	os_wake((const uint32_t *)&word, 1);
	return arg;
}

static void test_no_huge_page_comes_unasked(void **state)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;
	bool marked = false;

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps) != NULL) {
		unsigned long start;
		unsigned long end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)memory >= start && (uintptr_t)memory < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			marked = strstr(line, " nh") != NULL;
	}
	fclose(maps);
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
		skip_because("this kernel has no huge pages");
	assert_true(marked);
}

static void test_waiting_ends_by_wake_by_change_and_by_time(void **state)
{
	uint64_t start_ns = os_now_ns();
	pthread_t thread;

	(void)state;
	errno = 77;
	os_wait((const uint32_t *)&word, 1, UINT64_MAX);
	while (os_now_ns() - start_ns < 2000000)
		os_wait((const uint32_t *)&word, 0, 2000000);
	pthread_create(&thread, NULL, run_waker, NULL);
	while (atomic_load(&word) == 0)
		os_wait((const uint32_t *)&word, 0, UINT64_MAX);
	pthread_join(thread, NULL);
	assert_int_equal(errno, 77);
}

static void panic_now(void *arg)
{
	os_panic("something is wrong:", arg);
}

static void test_panic_is_one_line_with_the_address(void **state)
{
	(void)state;
	assert_true(panic_says(panic_now, (void *)0xabc0, "something is wrong: 0xabc0\n"));
	assert_true(panic_says(panic_now, NULL, "something is wrong: 0x0\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserved_memory_is_aligned_zero_and_committed_on_demand),
		cmocka_unit_test(test_what_is_resident_is_counted_over_any_range),
		cmocka_unit_test(test_a_reservation_grows_in_place_unless_something_is_there),
		cmocka_unit_test(test_what_is_decommitted_is_zero_when_it_is_committed_again),
		cmocka_unit_test(test_many_ranges_are_advised_and_the_others_kept),
		cmocka_unit_test(test_an_impossible_range_is_an_error_and_the_rest_is_done),
		cmocka_unit_test(test_populate_makes_resident),
		cmocka_unit_test(test_no_huge_page_comes_unasked),
		cmocka_unit_test(test_waiting_ends_by_wake_by_change_and_by_time),
		cmocka_unit_test(test_panic_is_one_line_with_the_address),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
