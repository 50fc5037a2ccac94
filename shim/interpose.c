/* dlopen, dlmopen and fork, in front of libc's. */
#include "shim/interpose.h"

#include "shim/alias.h"
#include "shim/heap/base/os.h"
#include "shim/libc.h"
#include "shim/symbol.h"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
	void *(*dlopen)(const char *file, int mode);
	void *(*dlmopen)(Lmid_t space, const char *file, int mode);
	pid_t (*fork)(void);
} next;

void interpose_init(void)
{
	*(void **)&next.dlopen = symbol_next("dlopen");
	*(void **)&next.dlmopen = symbol_next("dlmopen");
	*(void **)&next.fork = symbol_next("fork");
}

/* Before the constructor: called by a resolver of symbols at the most.  After it: before glibc 2.34
 * dlopen is libdl's, which may be loaded later. */
static inline void next_need(const void *function)
{
	if (__builtin_expect(function == NULL, 0))
		interpose_init();
}

EXPORT void *dlopen(const char *file, int mode)
{
	next_need(next.dlopen);
	return next.dlopen != NULL ? next.dlopen(file, mode & ~RTLD_DEEPBIND) : NULL;
}

EXPORT void *dlmopen(Lmid_t nsid, const char *file, int mode)
{
	next_need(next.dlmopen);
	return next.dlmopen != NULL
		       ? next.dlmopen(nsid, file, nsid == LM_ID_BASE ? mode & ~RTLD_DEEPBIND : mode)
		       : NULL;
}

EXPORT pid_t fork(void)
{
	sigset_t all;
	sigset_t before;
	pid_t child;

	next_need(next.fork);
	/* In a sandbox the thread is gone, and the mask is a call that filters may lack. */
	if (libc_has_one_thread() || os_is_sandboxed())
		return next.fork();
	sigfillset(&all);
	/* Refused, it tells no mask that could be set again. */
	if (sigprocmask(SIG_SETMASK, &all, &before) != 0)
		return next.fork();
	child = next.fork();
	sigprocmask(SIG_SETMASK, &before, NULL);
	return child;
}

ALIAS(__fork, fork);
