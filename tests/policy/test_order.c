/* cpu limit: 20 s */
/* A list of 300000 takes a fraction of a second when it is ordered by halves, and minutes of CPU
 * when each entry is compared with each other one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "supervisor/policy/order.h"

#define MANY 300000U

static struct order *chain(struct order *entry, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		entry[i].index = i;
		entry[i].next = i + 1 < count ? &entry[i + 1] : NULL;
	}
	return count > 0 ? entry : NULL;
}

static void assert_ordered(const struct order *first, size_t count)
{
	size_t seen = 0;
	for (const struct order *order = first; order != NULL; order = order->next) {
		const struct order *next = order->next;
		seen++;
		if (next != NULL)
			assert_true(order->key > next->key ||
				    (order->key == next->key && order->index < next->index));
	}
	assert_int_equal(seen, count);
}

static void test_the_largest_comes_first_and_equals_stay_as_they_were(void **state)
{
	(void)state;
	static struct order entry[70];
	uint64_t seed = 88172645463325252U;
	assert_null(order_by_key(NULL));
	for (size_t count = 1; count <= 70; count++)
		for (uint64_t keys = 1; keys <= 64; keys *= 4) {
			for (size_t i = 0; i < count; i++) {
				seed = seed * 6364136223846793005U + 1442695040888963407U;
				entry[i].key = (seed >> 33) % keys;
			}
			assert_ordered(order_by_key(chain(entry, count)), count);
		}
}

static void test_many_take_no_time(void **state)
{
	(void)state;
	struct order *entry = calloc(MANY, sizeof *entry);
	assert_non_null(entry);
	for (uint64_t i = 0; i < MANY; i++)
		entry[i].key = i;
	assert_ordered(order_by_key(chain(entry, MANY)), MANY);
	for (uint64_t i = 0; i < MANY; i++)
		entry[i].key = i * 2654435761U % MANY;
	assert_ordered(order_by_key(chain(entry, MANY)), MANY);
	free(entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_largest_comes_first_and_equals_stay_as_they_were),
		cmocka_unit_test(test_many_take_no_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
