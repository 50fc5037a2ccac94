#include "tests/preload/check.h"

#include <limits.h>
#include <pthread.h>

static void *run(void *unused)
{
	check_churn(200, 100);
	check_churn(20, 300 * KIB);
	return unused;
}

int main(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
	for (int i = 0; i < 50; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, &attributes, run, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	return 0;
}
