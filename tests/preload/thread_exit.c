#include "tests/preload/check.h"

#include <pthread.h>

/* Destructors of thread keys free and allocate, again and again; blocks outlive their thread. */
static pthread_key_t keys[3];

static void destroy(void *value)
{
	free(value);
	check_churn(10, 100);
}

static void destroy_and_renew(void *value)
{
	free(value);
	pthread_setspecific(keys[2], check_opaque(malloc(50)));
}

static void *run(void *give)
{
	char *mine = check_opaque(malloc(1000));

	memset(mine, 3, 1000);
	pthread_setspecific(keys[0], check_opaque(malloc(10)));
	pthread_setspecific(keys[1], check_opaque(malloc(100000)));
	pthread_setspecific(keys[2], check_opaque(malloc(20)));
	free(give);
	pthread_exit(mine);
}

int main(void)
{
	pthread_key_create(&keys[0], destroy);
	pthread_key_create(&keys[1], destroy);
	pthread_key_create(&keys[2], destroy_and_renew);
	for (int i = 0; i < 300; i++) {
		pthread_t thread;
		char *mine;

		CHECK(pthread_create(&thread, NULL, run, check_opaque(malloc(5000))) == 0);
		CHECK(pthread_join(thread, (void **)&mine) == 0);
		CHECK(mine[0] == 3 && mine[999] == 3);
		free(mine);
	}
	return 0;
}
