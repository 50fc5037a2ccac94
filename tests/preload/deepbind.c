/*
 * deepbind MIDDLE INNER: libraries that take what they call from their own scope first, as plug-ins
 * of PHP and Samba do, and blocks that go from one side to the other.
 *
 * The same file is the three parts: with -DINNER the library that allocates, which is found by the
 * RUNPATH of its caller only; with -DMIDDLE that caller.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#if defined(INNER)

char *deepbind_make(const char *text);
void deepbind_drop(void *block);

char *deepbind_make(const char *text)
{
	return strdup(text);
}

void deepbind_drop(void *block)
{
	free(block);
}

#elif defined(MIDDLE)

void *deepbind_open(const char *name, int by_dlmopen);

void *deepbind_open(const char *name, int by_dlmopen)
{
	int mode = RTLD_NOW | RTLD_DEEPBIND;
	/* Not by a jump: the return address is this library's. */
	void *volatile library =
		by_dlmopen != 0 ? dlmopen(LM_ID_BASE, name, mode) : dlopen(name, mode);

	return library;
}

#else

#include "tests/preload/check.h"

static void exchange(void *library)
{
	char *(*make)(const char *text) = NULL;
	void (*drop)(void *block) = NULL;

	CHECK(library != NULL);
	*(void **)&make = dlsym(library, "deepbind_make");
	*(void **)&drop = dlsym(library, "deepbind_drop");
	CHECK(make != NULL && drop != NULL);
	for (int i = 0; i < 100; i++) {
		char *block = make("of the library");

		CHECK(strcmp(block, "of the library") == 0);
		free(block);
		drop(check_opaque(malloc((size_t)1 << (i % 20))));
	}
	CHECK(dlclose(library) == 0);
}

/* A namespace of its own has its own libc; what is made there is dropped there. */
static void keep_apart(const char *inner)
{
	void *library = dlmopen(LM_ID_NEWLM, inner, RTLD_NOW | RTLD_DEEPBIND);
	char *(*make)(const char *text) = NULL;
	void (*drop)(void *block) = NULL;

	CHECK(library != NULL);
	*(void **)&make = dlsym(library, "deepbind_make");
	*(void **)&drop = dlsym(library, "deepbind_drop");
	for (int i = 0; i < 100; i++)
		drop(make("of another world"));
	CHECK(dlclose(library) == 0);
}

int main(int count, char **arguments)
{
	void *(*open_by)(const char *name, int by_dlmopen) = NULL;
	void *middle;

	CHECK(count == 3);
	middle = dlopen(arguments[1], RTLD_NOW | RTLD_DEEPBIND);
	CHECK(middle != NULL);
	*(void **)&open_by = dlsym(middle, "deepbind_open");
	CHECK(open_by != NULL);
	CHECK(dlopen("libinner.so", RTLD_NOW) == NULL);
	exchange(open_by("libinner.so", 0));
	exchange(open_by("libinner.so", 1));
	exchange(dlopen(arguments[2], RTLD_NOW | RTLD_DEEPBIND));
	keep_apart(arguments[2]);
	return 0;
}

#endif
