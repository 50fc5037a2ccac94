#include "tests/preload/check.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>

static void *run(void *unused)
{
	check_churn(200, 100);
	check_churn(20, 300 * KIB);
	for (size_t size = 1; size < MIB; size *= 3) {
		void *block = check_opaque(memalign(4096, size));

		block = check_opaque(realloc(block, size * 2));
		CHECK(block != NULL);
		free(block);
		free(check_opaque(calloc(2, size)));
	}
	malloc_trim(0);
	return unused;
}

int main(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
	for (int i = 0; i < 50; i++) {
		pthread_t threads[4];

		for (int j = 0; j < 1 + i % 4; j++)
			CHECK(pthread_create(&threads[j], &attributes, run, NULL) == 0);
		for (int j = 0; j < 1 + i % 4; j++)
			CHECK(pthread_join(threads[j], NULL) == 0);
	}
	return 0;
}
