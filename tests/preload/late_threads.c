#include "shim/spillway.h"
#include "tests/preload/check.h"

#include <dlfcn.h>
#include <pthread.h>

/*
 * Before glibc 2.34 threads are in a library of their own.  A program that was linked without it
 * may load it later, as a plugin's.  From then on there is a scavenger's thread, and a thread that
 * ends gives its cache to the next.
 */
#define THREADS 300
#define KEPT_BYTES (4 * MIB)

static struct {
	int (*create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		void *argument);
	int (*join)(pthread_t thread, void **result);
} threads;

static void threads_load(void)
{
	void *library = dlopen("libpthread.so.0", RTLD_NOW);

	CHECK(library != NULL);
	*(void **)&threads.create = dlsym(library, "pthread_create");
	*(void **)&threads.join = dlsym(library, "pthread_join");
	CHECK(threads.create != NULL && threads.join != NULL);
}

static void *churn(void *unused)
{
	for (size_t bytes = 16; bytes <= 16 * KIB; bytes *= 2)
		check_churn(50, bytes);
	return unused;
}

static size_t metadata_bytes(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats != NULL && spillway_stats(&stats, sizeof stats) == 0);
	return stats.metadata_bytes;
}

int main(void)
{
	size_t before_bytes = 0;

	check_hang();
	check_churn(640, 100 * KIB);
	threads_load();
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		CHECK(threads.create(&thread, NULL, churn, NULL) == 0);
		CHECK(threads.join(thread, NULL) == 0);
		if (i == 10)
			before_bytes = metadata_bytes();
	}
	CHECK(metadata_bytes() <= before_bytes + KEPT_BYTES);
	CHECK_SOON(20, (check_churn(640, 100 * KIB), check_worker() != 0));
	return 0;
}
