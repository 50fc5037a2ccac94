/* What may be missing in the program's libc, and what stands in for it. */
#include "shim/libc.h"

#include "shim/symbol.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <unistd.h>

#pragma weak __environ
#pragma weak __errno_location
#pragma weak pthread_create
#pragma weak pthread_attr_setstacksize
#pragma weak pthread_key_create
#pragma weak pthread_setspecific

/* glibc 2.32's. */
extern char __libc_single_threaded __attribute__((weak));
/* glibc's pthread_atfork is in no shared library: it is linked into each caller. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
	void *library) __attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));
#pragma weak pthread_atfork

bool libc_is_there(void)
{
	return __errno_location != NULL;
}

#ifdef __aarch64__
/*
 * The compiler's atomic operations ask this for the instructions of ARMv8.1; without them, and
 * before libc_init, they take a loop.  It stands in for libgcc's own, which a constructor of
 * libgcc sets by a function that musl does not have.
 */
extern bool __aarch64_have_lse_atomics __attribute__((visibility("hidden")));
bool __aarch64_have_lse_atomics;

void libc_init(void)
{
	__aarch64_have_lse_atomics = (getauxval(AT_HWCAP) & HWCAP_ATOMICS) != 0;
}
#else
void libc_init(void)
{
}
#endif

char **libc_environment(char **passed)
{
	return __environ != NULL ? __environ : passed;
}

bool libc_has_one_thread(void)
{
	return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

int libc_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (__register_atfork != NULL)
		return __register_atfork(prepare, parent, child, __dso_handle);
	return pthread_atfork != NULL ? pthread_atfork(prepare, parent, child) : ENOSYS;
}

static struct libc_threads threads = {
	.create = pthread_create,
	.attributes_stack = pthread_attr_setstacksize,
	.key_create = pthread_key_create,
	.key_set = pthread_setspecific,
};

/* Threads that look at the same time find the same. */
static bool is_found(void *function, const char *name)
{
	void **slot = function;
	void *found = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	if (found == NULL) {
		found = symbol_next(name);
		__atomic_store_n(slot, found, __ATOMIC_RELEASE);
	}
	return found != NULL;
}

const struct libc_threads *libc_threads(void)
{
	return is_found(&threads.create, "pthread_create") &&
			       is_found(&threads.attributes_stack, "pthread_attr_setstacksize") &&
			       is_found(&threads.key_create, "pthread_key_create") &&
			       is_found(&threads.key_set, "pthread_setspecific")
		       ? &threads
		       : NULL;
}
