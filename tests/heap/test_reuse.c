#include "shim/heap/base/page.h"
#include "shim/heap/pages/reuse.h"

#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define SECOND_NS ((uint64_t)1000000000)

static void test_every_age_lies_in_its_bucket(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < REUSE_BUCKETS; i++)
		assert_true(reuse_bucket_start_ns(i) < reuse_bucket_start_ns(i + 1));
	for (unsigned i = 0; i < REUSE_BUCKETS; i++) {
		assert_int_equal(reuse_bucket(reuse_bucket_start_ns(i)), i);
		if (i > 0)
			assert_int_equal(reuse_bucket(reuse_bucket_start_ns(i) - 1), i - 1);
	}
	for (int i = 0; i < 100000; i++) {
		uint64_t age_ns = random_next() >> random_below(64);
		unsigned bucket = reuse_bucket(age_ns);

		assert_true(bucket < REUSE_BUCKETS);
		assert_true(reuse_bucket_start_ns(bucket) <= age_ns);
		if (bucket + 1 < REUSE_BUCKETS)
			assert_true(age_ns < reuse_bucket_start_ns(bucket + 1));
	}
}

static void test_sizes_are_in_order(void **state)
{
	(void)state;
	assert_int_equal(run_class_of(0), RUN_SHORT);
	assert_int_equal(run_class_of(CHUNK_PAGES), RUN_CHUNK);
	assert_int_equal(run_class_of(CHUNK_PAGES - 1), RUN_256_PAGES);
	for (size_t pages = 1; pages <= CHUNK_PAGES; pages++)
		assert_true(run_class_of(pages) >= run_class_of(pages - 1));
}

static void test_pages_are_exposed_in_the_buckets_they_went_through(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct reuse reuse;
		uint64_t from_ns = random_next() >> (22 + random_below(40));
		uint64_t to_ns = from_ns + (random_next() >> (22 + random_below(40)));
		size_t pages = random_below(1 << 16);
		uint64_t begin_ns = reuse_bucket_start_ns(reuse_bucket(from_ns));
		uint64_t end_ns = reuse_bucket_start_ns(reuse_bucket(to_ns));
		uint64_t expected = (end_ns - begin_ns) / REUSE_TICK_NS * pages * REUSE_PART;
		uint64_t sum = 0;

		memset(&reuse, 0, sizeof reuse);
		reuse_exposed(&reuse, RUN_64_PAGES, from_ns, to_ns, pages);
		for (unsigned b = 0; b < REUSE_BUCKETS; b++)
			sum += reuse.exposed[RUN_64_PAGES][b];
		/* A tick may be lost in each bucket. */
		assert_true(sum <= expected);
		if (reuse_bucket(to_ns) > 0)
			assert_int_equal(reuse.exposed[RUN_64_PAGES][reuse_bucket(to_ns)], 0);
		assert_true(expected - sum <= REUSE_BUCKETS * pages * REUSE_PART);
		assert_int_equal(reuse.most[RUN_64_PAGES], pages * REUSE_PART);
	}
}

static void test_sums_stop_at_their_end(void **state)
{
	(void)state;
	struct reuse reuse;

	memset(&reuse, 0, sizeof reuse);
	for (int i = 0; i < 100; i++) {
		reuse_exposed(&reuse, RUN_CHUNK, 0, UINT64_MAX, SIZE_MAX / REUSE_PART);
		reuse_wanted(&reuse, RUN_CHUNK, UINT64_MAX, SIZE_MAX / REUSE_PART);
	}
	for (unsigned b = 1; b + 1 < REUSE_BUCKETS; b++)
		assert_true(reuse.exposed[RUN_CHUNK][b] > UINT64_MAX / 2);
	assert_int_equal(reuse.wanted[RUN_CHUNK][REUSE_BUCKETS - 1], UINT64_MAX);
}

/* In how long a sum is halved, by steps of so many seconds. */
static uint64_t half_life_s(uint64_t step_s)
{
	struct reuse reuse;
	uint64_t now_s = 0;

	memset(&reuse, 0, sizeof reuse);
	reuse_wanted(&reuse, RUN_SHORT, 0, 1000);
	while (reuse.wanted[RUN_SHORT][0] > (uint64_t)500 * REUSE_PART) {
		now_s += step_s;
		reuse_decay(&reuse, now_s * SECOND_NS);
	}
	return now_s;
}

static void test_sums_halve_in_ten_minutes_or_a_little_more(void **state)
{
	(void)state;
	static const uint64_t steps_s[] = {1, 7, 60, 300, 600};

	for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++)
		assert_in_range(half_life_s(steps_s[i]), 600, 900);
	assert_int_equal(half_life_s(86400), 86400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_age_lies_in_its_bucket),
		cmocka_unit_test(test_sizes_are_in_order),
		cmocka_unit_test(test_pages_are_exposed_in_the_buckets_they_went_through),
		cmocka_unit_test(test_sums_stop_at_their_end),
		cmocka_unit_test(test_sums_halve_in_ten_minutes_or_a_little_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
