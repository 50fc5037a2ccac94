#include "tests/bench/idle/release.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>

void release_all(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t) = (int (*)(
		const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
	void (*collect)(bool) = (void (*)(bool))dlsym(RTLD_DEFAULT, "mi_collect");
	void (*release)(void) =
		(void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");

	/* 4096 is MALLCTL_ARENAS_ALL. */
	if (mallctl != NULL)
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	else if (collect != NULL)
		collect(true);
	else if (release != NULL)
		release();
	else
		malloc_trim(0);
}
