#include "tests/preload/check.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * Destructors of thread keys free and allocate in every round that libc has for
 * them; blocks outlive their thread, and nothing else does.
 */
static pthread_key_t keys[4];
static _Atomic unsigned long rounds;

struct renewed {
	char *blocks[20];
	int round;
};

/* Frees the blocks of the round before, of sizes small and large, and makes those of the next. */
static void destroy_in_every_round(void *value)
{
	struct renewed *renewed = value;

	atomic_fetch_add(&rounds, 1);
	for (size_t i = 0; i < 20; i++) {
		char *block = renewed->blocks[i];

		CHECK(block == NULL || block[0] == (char)renewed->round);
		free(block);
		renewed->blocks[i] = NULL;
	}
	if (++renewed->round == PTHREAD_DESTRUCTOR_ITERATIONS) {
		free(renewed);
		return;
	}
	for (size_t i = 0; i < 20; i++) {
		renewed->blocks[i] = check_opaque(malloc(i * i * i * 10 + 1));
		CHECK(renewed->blocks[i] != NULL);
		renewed->blocks[i][0] = (char)renewed->round;
	}
	pthread_setspecific(keys[3], renewed);
}

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
	pthread_setspecific(keys[3], check_opaque(calloc(1, sizeof(struct renewed))));
	free(give);
	pthread_exit(mine);
}

static size_t used_bytes(void)
{
	struct mallinfo2 info;

	malloc_trim(0);
	info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

int main(void)
{
	size_t before_bytes = 0;

	pthread_key_create(&keys[0], destroy);
	pthread_key_create(&keys[1], destroy);
	pthread_key_create(&keys[2], destroy_and_renew);
	pthread_key_create(&keys[3], destroy_in_every_round);
	for (int i = 0; i < (int)check_soak(600); i++) {
		pthread_t thread;
		char *mine;

		CHECK(pthread_create(&thread, NULL, run, check_opaque(malloc(5000))) == 0);
		CHECK(pthread_join(thread, (void **)&mine) == 0);
		CHECK(mine[0] == 3 && mine[999] == 3);
		free(mine);
		if (i == 100)
			before_bytes = used_bytes();
	}
	CHECK(atomic_load(&rounds) == check_soak(600) * PTHREAD_DESTRUCTOR_ITERATIONS);
	/* keys[2] leaves 50 bytes of the last round behind in each thread, by its own fault. */
	CHECK(used_bytes() <= before_bytes + check_soak(600) * 64 + 100000);
	return 0;
}
