#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/proof.h"

#define MIB ((uint64_t)1 << 20)

/* One release: usage went from 200 MiB to `after`. */
static void release(struct proof *proof, uint64_t said_bytes, struct proof_usage after)
{
	const struct proof_usage before = {
		.current_bytes = 200 * MIB, .used_bytes = 150 * MIB, .taken_bytes = 70 * MIB};
	proof_begin(proof, &before);
	proof_end(proof, said_bytes, &after);
}

static const struct proof_usage as_before = {200 * MIB, 150 * MIB, 70 * MIB};

static void test_three_releases_that_nobody_saw_are_doubted(void **state)
{
	(void)state;
	struct proof proof = {.unseen = 0};
	for (unsigned n = 1; n <= 5; n++) {
		release(&proof, 20 * MIB, as_before);
		assert_int_equal(proof_is_doubted(&proof), n >= PROOF_TIMES);
	}
	/* Half of it is enough. */
	release(&proof, 20 * MIB, (struct proof_usage){190 * MIB, 150 * MIB, 70 * MIB});
	assert_false(proof_is_doubted(&proof));
}

static void test_small_ones_prove_nothing(void **state)
{
	(void)state;
	struct proof proof = {.unseen = 0};
	for (unsigned n = 0; n < 5; n++)
		release(&proof, PROOF_BYTES - 1, as_before);
	assert_int_equal(proof.unseen, 0);
}

static void test_what_hides_a_fall_is_reckoned_with(void **state)
{
	(void)state;
	static const struct proof_usage seen[] = {
		/* 20 MiB of credit were filled meanwhile. */
		{200 * MIB, 150 * MIB, 90 * MIB},
		/* 50 MiB of files were read. */
		{230 * MIB, 130 * MIB, 70 * MIB},
		/* The pages had been lazily freed. */
		{180 * MIB, 150 * MIB, 70 * MIB},
	};
	for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
		struct proof proof = {.unseen = 2};
		release(&proof, 20 * MIB, seen[i]);
		assert_int_equal(proof.unseen, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_releases_that_nobody_saw_are_doubted),
		cmocka_unit_test(test_small_ones_prove_nothing),
		cmocka_unit_test(test_what_hides_a_fall_is_reckoned_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
