#include "tests/preload/check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

/*
 * misuse POINTER CALL: hands a pointer that is none of ours, or no longer, to a
 * function that must stop the program with a line that says so.  The address
 * goes to stdout first.  What only shows once a thread's cache is emptied shows
 * in malloc_trim.
 */
static const char *call_name;

static void call(void *pointer)
{
	pointer = check_opaque(pointer);
	if (strcmp(call_name, "realloc") == 0)
		check_opaque(realloc(pointer, 10));
	else if (strcmp(call_name, "usable_size") == 0)
		check_hidden(malloc_usable_size(pointer));
	else
		free(pointer);
}

/* free() by a name that the compiler knows nothing of. */
static __attribute__((noinline)) void release(void *pointer)
{
	free(check_opaque(pointer));
}

static void *call_thread(void *pointer)
{
	call(pointer);
	return NULL;
}

static void call_elsewhere(void *pointer)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, call_thread, pointer) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* Says where, and gives the address. */
static void *said(const void *pointer)
{
	printf("%#lx\n", (unsigned long)(uintptr_t)pointer);
	fflush(stdout);
	return check_opaque((void *)(uintptr_t)pointer);
}

/* Freed blocks --------------------------------------------------------- */

static void freed(size_t size)
{
	void *block = said(malloc(size));

	release(block);
	call(block);
	malloc_trim(0);
}

static void freed_small(void)
{
	freed(100);
}

static void freed_large(void)
{
	freed(4 * MIB);
}

static void freed_huge(void)
{
	freed(300 * MIB);
}

static void freed_under_another(void)
{
	char *blocks[3];

	for (int i = 0; i < 3; i++)
		blocks[i] = check_opaque(malloc(100));
	said(blocks[0]);
	release(blocks[0]);
	release(blocks[1]);
	call(blocks[0]);
	malloc_trim(0);
}

/* Its neighbour lives, so its slab does. */
static void freed_and_flushed(void)
{
	char *block = said(malloc(100));
	char *volatile neighbour = check_opaque(malloc(100));

	release(block);
	malloc_trim(0);
	call(block);
	malloc_trim(0);
	release(neighbour);
}

static void freed_with_its_slab(void)
{
	char *blocks[5000];

	for (int i = 0; i < 5000; i++)
		blocks[i] = check_opaque(malloc(3000));
	said(blocks[2500]);
	for (int i = 0; i < 5000; i++)
		release(blocks[i]);
	malloc_trim(0);
	call(check_opaque(blocks[2500]));
	malloc_trim(0);
}

static void freed_elsewhere(void)
{
	char *block = said(malloc(100));

	call_elsewhere(block);
	call(block);
	malloc_trim(0);
}

static void freed_large_elsewhere(void)
{
	char *block = said(malloc(MIB));

	call_elsewhere(block);
	call(block);
}

static void freed_many_ago(void)
{
	char *blocks[3000];

	for (int i = 0; i < 3000; i++)
		blocks[i] = check_opaque(malloc(100));
	said(blocks[7]);
	for (int i = 0; i < 3000; i++)
		release(blocks[i]);
	call(check_opaque(blocks[7]));
	malloc_trim(0);
}

static void moved_by_realloc(void)
{
	char *block = said(malloc(100));
	char *volatile kept = block;
	char *moved = check_opaque(realloc(block, 100000));

	call(kept);
	malloc_trim(0);
	release(moved);
}

/* A slot of a slab in use, long before its turn. */
static void never_handed_out(void)
{
	char *block = check_opaque(malloc(100));

	call(said(block + (size_t)112 * 400));
	malloc_trim(0);
}

/* Inside of blocks ------------------------------------------------------ */

static void inside(size_t size, size_t offset)
{
	call(said((char *)check_opaque(malloc(size)) + offset));
	malloc_trim(0);
}

static void inside_small(void)
{
	inside(100, 16);
}

static void inside_odd(void)
{
	inside(100, 1);
}

static void inside_slab(void)
{
	inside(30000, 8192);
}

static void inside_large(void)
{
	inside(4 * MIB, 4096);
}

static void inside_large_odd(void)
{
	inside(4 * MIB, 16);
}

static void inside_large_end(void)
{
	inside(4 * MIB, 4 * MIB - 4096);
}

/* Nothing of ours ------------------------------------------------------- */

static char in_data[128] = {1};

static void of_stack(void)
{
	char local[128] = {1};

	call(said(local));
}

static void of_data(void)
{
	call(said(in_data));
}

static void of_code(void)
{
	call(said((const void *)(uintptr_t)&call));
}

static void of_mmap(void)
{
	call(said(mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

static void of_glibc(void)
{
	void *library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	void *(*theirs)(size_t) = (void *(*)(size_t))dlsym(library, "__libc_malloc");

	CHECK(theirs != NULL);
	call(said(theirs(100)));
}

static void of_namespace(void)
{
	void *library = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	void *(*theirs)(size_t);

	CHECK(library != NULL);
	theirs = (void *(*)(size_t))dlsym(library, "malloc");
	CHECK(theirs != NULL && theirs != malloc);
	call(said(theirs(100)));
}

static void of_low(void)
{
	call(said((void *)16));
}

static void of_high(void)
{
	call(said((void *)(UINTPTR_MAX - 15)));
}

static void of_nowhere(void)
{
	call(said((void *)((uintptr_t)1 << 47)));
}

/* Whole pages behind every block. */
static void of_unused_pages(void)
{
	char *block = check_opaque(malloc(64 * KIB));

	call(said(block + 40 * MIB));
}

static const struct {
	const char *name;
	void (*run)(void);
} pointers[] = {
	{"freed", freed_small},
	{"freed-large", freed_large},
	{"freed-huge", freed_huge},
	{"freed-under-another", freed_under_another},
	{"freed-and-flushed", freed_and_flushed},
	{"freed-with-its-slab", freed_with_its_slab},
	{"freed-elsewhere", freed_elsewhere},
	{"freed-large-elsewhere", freed_large_elsewhere},
	{"freed-many-ago", freed_many_ago},
	{"moved", moved_by_realloc},
	{"never", never_handed_out},
	{"inside", inside_small},
	{"inside-odd", inside_odd},
	{"inside-slab", inside_slab},
	{"inside-large", inside_large},
	{"inside-large-odd", inside_large_odd},
	{"inside-large-end", inside_large_end},
	{"stack", of_stack},
	{"data", of_data},
	{"code", of_code},
	{"mmap", of_mmap},
	{"glibc", of_glibc},
	{"namespace", of_namespace},
	{"low", of_low},
	{"high", of_high},
	{"nowhere", of_nowhere},
	{"unused-pages", of_unused_pages},
};

int main(int count, char **arguments)
{
	CHECK(count == 3);
	call_name = arguments[2];
	for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
		if (strcmp(pointers[i].name, arguments[1]) == 0)
			pointers[i].run();
	return 3;
}
