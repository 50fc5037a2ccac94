#include "shim/heap/base/bits.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define WORDS 8
#define BITS ((size_t)WORDS * 64)
#define ROUNDS 3000

/* A row as the tricks see it and as one byte a bit. */
struct row {
	uint64_t words[WORDS];
	unsigned char bits[BITS];
};

/* Runs of random lengths, now and then of whole words and more. */
static void row_random(struct row *row)
{
	unsigned longest = 1U << random_below(10);
	unsigned char value = (unsigned char)random_below(2);
	size_t at = 0;

	memset(row, 0, sizeof *row);
	while (at < BITS) {
		size_t length = 1 + random_below(longest);

		for (; length > 0 && at < BITS; length--, at++) {
			row->bits[at] = value;
			row->words[at / 64] |= (uint64_t)value << at % 64;
		}
		value = !value;
	}
}

static size_t naive_next(const struct row *row, size_t at, size_t end, bool set)
{
	while (at < end && row->bits[at] != set)
		at++;
	return at;
}

static void test_counting_and_ends_of_a_word_equal_the_naive_ones(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row row;
		unsigned count = 0;
		unsigned longest = 0;
		unsigned run = 0;

		row_random(&row);
		for (size_t i = 0; i < 64; i++) {
			count += row.bits[i];
			run = row.bits[i] ? run + 1 : 0;
			longest = run > longest ? run : longest;
		}
		assert_int_equal(bits_count(row.words[0]), count);
		assert_int_equal(bits_longest(row.words[0]), longest);
		if (count == 0)
			continue;
		assert_int_equal(bits_lowest(row.words[0]), naive_next(&row, 0, 64, true));
		assert_true(row.words[0] >> bits_highest(row.words[0]) == 1);
	}
}

static void test_masks_have_exactly_the_bits_of_their_range(void **state)
{
	(void)state;
	for (size_t first = 0; first <= 64; first++) {
		for (size_t end = first; end <= 64; end++) {
			uint64_t mask = bits_mask(first, end);

			for (size_t i = 0; i < 64; i++)
				assert_int_equal(mask >> i & 1, i >= first && i < end);
		}
	}
	assert_true(bits_mask_in_word(70, 75) == bits_mask(6, 11));
	assert_true(bits_mask_in_word(70, 500) == bits_mask(6, 64));
}

static void test_next_bit_equals_the_naive_one(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row row;
		size_t at = random_below(BITS + 1);
		size_t end = at + random_below(BITS + 1 - at);

		row_random(&row);
		assert_int_equal(
			bits_next(row.words, at, end, true), naive_next(&row, at, end, true));
		assert_int_equal(
			bits_next(row.words, at, end, false), naive_next(&row, at, end, false));
	}
}

static size_t naive_find_run(const struct row *row, size_t length)
{
	size_t run = 0;

	for (size_t i = 0; i < BITS; i++) {
		run = row->bits[i] ? run + 1 : 0;
		if (run == length)
			return i + 1 - length;
	}
	return SIZE_MAX;
}

static void test_clearing_takes_the_range_and_nothing_else(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t first = random_below(BITS + 1);
		size_t end = first + random_below(BITS + 1 - first);
		size_t set = 0;
		struct row row;

		row_random(&row);
		for (size_t i = first; i < end; i++)
			set += row.bits[i];
		assert_int_equal(bits_clear(row.words, first, end), set);
		for (size_t i = 0; i < BITS; i++)
			assert_int_equal(row.words[i / 64] >> i % 64 & 1,
				i < first || i >= end ? row.bits[i] : 0);
	}
}

static void test_first_run_equals_the_naive_one(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row row;
		size_t length = 1 + random_below(round % 2 ? BITS : 20);

		row_random(&row);
		assert_true(bits_find_run(row.words, BITS, length) == naive_find_run(&row, length));
	}
}

static void test_last_runs_visit_every_run_downward(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row row;
		unsigned char seen[BITS] = {0};
		size_t below = BITS;
		size_t first;
		size_t end;

		row_random(&row);
		while (bits_last_run(row.words, below, &first, &end)) {
			assert_true(first < end && end <= below);
			assert_true(first == 0 || !row.bits[first - 1]);
			assert_true(end == below || !row.bits[end]);
			memset(seen + first, 1, end - first);
			below = first;
		}
		assert_memory_equal(seen, row.bits, BITS);
	}
}

static void test_runs_of_a_row_equal_the_naive_ones(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row row;
		struct bits_runs runs;
		size_t run = 0;
		size_t max = 0;

		row_random(&row);
		if (round == 0)
			memset(&row, 0, sizeof row);
		runs = bits_runs_of(row.words, WORDS);
		for (size_t i = 0; i < BITS; i++) {
			run = row.bits[i] ? run + 1 : 0;
			max = run > max ? run : max;
		}
		assert_int_equal(runs.max, max);
		assert_int_equal(runs.end, run);
		assert_int_equal(runs.start, naive_next(&row, 0, BITS, false));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counting_and_ends_of_a_word_equal_the_naive_ones),
		cmocka_unit_test(test_masks_have_exactly_the_bits_of_their_range),
		cmocka_unit_test(test_next_bit_equals_the_naive_one),
		cmocka_unit_test(test_clearing_takes_the_range_and_nothing_else),
		cmocka_unit_test(test_first_run_equals_the_naive_one),
		cmocka_unit_test(test_last_runs_visit_every_run_downward),
		cmocka_unit_test(test_runs_of_a_row_equal_the_naive_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
