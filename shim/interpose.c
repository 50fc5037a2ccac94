/* dlopen, dlmopen and fork, in front of libc's. */
#include "shim/interpose.h"

#include "shim/alias.h"
#include "shim/heap/base/os.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
	void *(*dlopen)(const char *file, int mode);
	void *(*dlmopen)(Lmid_t space, const char *file, int mode);
	pid_t (*fork)(void);
} next;

void interpose_init(void)
{
	*(void **)&next.dlopen = dlsym(RTLD_NEXT, "dlopen");
	*(void **)&next.dlmopen = dlsym(RTLD_NEXT, "dlmopen");
	*(void **)&next.fork = dlsym(RTLD_NEXT, "fork");
}

/* Called before the constructor: by a resolver of symbols at the most. */
static inline void next_need(void)
{
	if (__builtin_expect(next.fork == NULL, 0))
		interpose_init();
}

EXPORT void *dlopen(const char *file, int mode)
{
	next_need();
	return next.dlopen(file, mode & ~RTLD_DEEPBIND);
}

EXPORT void *dlmopen(Lmid_t nsid, const char *file, int mode)
{
	next_need();
	return next.dlmopen(nsid, file, nsid == LM_ID_BASE ? mode & ~RTLD_DEEPBIND : mode);
}

EXPORT pid_t fork(void)
{
	sigset_t all;
	sigset_t before;
	pid_t child;

	next_need();
	/* In a sandbox the thread is gone, and the mask is a call that filters may lack. */
	if (__libc_single_threaded || os_is_sandboxed())
		return next.fork();
	sigfillset(&all);
	/* Refused, it tells no mask that could be set again. */
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return next.fork();
	child = next.fork();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return child;
}

ALIAS(__fork, fork);
