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

int main(void)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, open_and_close, NULL) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
