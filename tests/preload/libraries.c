#include "tests/preload/check.h"

#include <dlfcn.h>
#include <pthread.h>

static const char *const names[] = {
	"libm.so.6", "libresolv.so.2", "libnss_dns.so.2", "libstdc++.so.6", "libthread_db.so.1"};

static void *open_and_close(void *unused)
{
	for (int round = 0; round < 40; round++)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			void *library = dlopen(names[i], RTLD_NOW);

			check_churn(10, 1000);
			if (library != NULL)
				CHECK(dlclose(library) == 0);
			CHECK(i != 0 || library != NULL);
		}
	return unused;
}

/* A library whose constructors, destructors and thread's objects allocate. */
static const char *plugin;

static void load_and_unload(bool call)
{
	void *library = dlopen(plugin, RTLD_NOW);
	size_t (*count)(void);

	CHECK(library != NULL);
	count = (size_t(*)(void))dlsym(library, "plugin_count");
	CHECK(count != NULL);
	if (call)
		CHECK(count() == 400);
	CHECK(dlclose(library) == 0);
}

static void *load_often(void *unused)
{
	for (size_t round = 0; round < check_soak(600); round++)
		load_and_unload(false);
	return unused;
}

/* The end of the thread ends its objects, and only then may the library go. */
static void *load_and_call(void *unused)
{
	load_and_unload(true);
	return unused;
}

static void in_three_threads(void *(*run)(void *))
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int count, char **arguments)
{
	if (count < 2) {
		in_three_threads(open_and_close);
		return 0;
	}
	plugin = arguments[1];
	in_three_threads(load_often);
	for (size_t round = 0; round < check_soak(300); round++)
		in_three_threads(load_and_call);
	load_and_unload(false);
	CHECK(dlopen(plugin, RTLD_NOW | RTLD_NOLOAD) == NULL);
	return 0;
}
