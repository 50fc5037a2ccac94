/* The constructor and the handlers that libc calls. */
#include "shim/aside.h"
#include "shim/environment.h"
#include "shim/family.h"
#include "shim/gate.h"
#include "shim/heap/base/gate.h"
#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/interpose.h"
#include "shim/kernel.h"
#include "shim/libc.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/link_begin.h"
#include "shim/look.h"
#include "shim/pressure.h"
#include "shim/process.h"
#include "shim/scavenger.h"
#include "shim/settings.h"
#include "shim/share.h"
#include "shim/thread.h"
#include "shim/trace.h"
#include "shim/trim.h"
#include "shim/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/*
 * The constructor, and what libc calls at fork, at a thread's end and at exit.
 *
 * The library is linked with -z initfirst, so this runs before every other
 * constructor, libc's own included: hence the environment as an argument, and
 * no stdio.  It also makes our fork handlers the first registered, so that
 * prepare, which takes the heap's locks, runs last, and the child drops them
 * before anybody else's handler allocates.  malloc may have been called long
 * before; the heap does not depend on any of this.
 *
 * Two loaders run other constructors before: musl's, and glibc's before 2.34 when the program needs
 * libpthread, which is linked with -z initfirst too.  A fork handler that such a constructor
 * registers runs while the heap's locks are held, and must not allocate.
 */

/* Made with the first thread that is noted while a library of threads is loaded. */
enum key_state { KEY_NONE, KEY_BEING_MADE, KEY_MADE };
static pthread_key_t thread_key;
static _Atomic uint32_t thread_key_state;

/*
 * Destructors of other keys may still free: libc calls them in rounds, and the
 * thread's cache is given back in the second that we see.  The key's value
 * counts them.
 */
static void on_thread_exit(void *value)
{
	if ((uintptr_t)value != 1) {
		cache_thread_exit();
		return;
	}
	/* In a sandbox there is no thread to end, and these calls may kill. */
	if (!os_is_sandboxed() && kernel_call(SYS_gettid, 0, 0, 0, 0, 0, 0) == getpid())
		worker_end();
	libc_threads()->key_set(thread_key, (void *)2);
}

static bool thread_key_make(const struct libc_threads *threads)
{
	uint32_t now = KEY_NONE;

	if (atomic_compare_exchange_strong(&thread_key_state, &now, KEY_BEING_MADE)) {
		now = threads->key_create(&thread_key, on_thread_exit) == 0 ? KEY_MADE : KEY_NONE;
		atomic_store(&thread_key_state, now);
	}
	return now == KEY_MADE;
}

/* Without a library of threads there is no thread's end to be told of. */
static void thread_note(void)
{
	const struct libc_threads *threads = libc_threads();

	if (threads != NULL && thread_key_make(threads))
		threads->key_set(thread_key, (void *)1);
}

/*
 * libc's lock of all streams.  Its fork takes that after the handlers, while a
 * thread that flushes all streams holds it and waits for a stream, whose owner
 * may wait for the heap: so it comes before the heap's locks here.  It may be taken
 * twice by one thread.  Not needed where there is but one, as libc has it.
 */
extern void _IO_list_lock(void) __attribute__((weak));   /* NOLINT(bugprone-reserved-identifier) */
extern void _IO_list_unlock(void) __attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */
extern void _IO_list_resetlock(void)
	__attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */

static __thread bool streams_locked;

static void on_fork_prepare(void)
{
	trim_before_fork();
	if (!os_is_sandboxed() && !link_joined() && limit_setting()->kind != LIMIT_OFF)
		family_fork_prepare();
	streams_locked = !libc_has_one_thread() && _IO_list_lock != NULL &&
			 _IO_list_unlock != NULL && _IO_list_resetlock != NULL;
	if (streams_locked)
		_IO_list_lock();
	heap_fork_prepare();
}

static void on_fork_parent(void)
{
	heap_fork_parent();
	if (streams_locked)
		_IO_list_unlock();
}

static void on_fork_child(void)
{
	bool is_limited = link_joined() ? link_has_wall() : look_limit_bytes() != 0;
	int saved = errno;

	process_adopt();
	heap_fork_child();
	if (streams_locked)
		_IO_list_resetlock();
	worker_fork_child();
	trim_fork_child(is_limited);
	(void)trim_inherited();
	thread_note();
	worker_fork_join();
	errno = saved;
}

/* Off by default. */
static bool is_switched_on(char **environment, const char *name)
{
	const char *value = environment_find(environment, name);

	if (value == NULL || strcmp(value, "off") == 0)
		return false;
	if (strcmp(value, "on") == 0)
		return true;
	environment_complain(name, value, "on or off");
	return false;
}

/* Tells who asks for it that the library is in force in this process. */
static void say_hello(char **environment)
{
	char line[160];
	int length;

	if (!is_switched_on(environment, "SPILLWAY_VERBOSE"))
		return;
	length = snprintf(line, sizeof line,
		"spillway: libspillway.so " SPILLWAY_VERSION
		" is the allocator of process %d, %s\n",
		(int)getpid(), link_joined() ? "linked to a supervisor" : "without a supervisor");
	(void)kernel_write(STDERR_FILENO, line, (size_t)length);
}

static void start_in_libc(char **environment)
{
	int saved = errno;

	libc_init();
	thread_note();
	(void)libc_at_fork(on_fork_prepare, on_fork_parent, on_fork_child);
	process_init();
	thread_init();
	aside_init();
	interpose_init();
	os_fence_prepare();
	if (getauxval(AT_SECURE) != 0)
		environment = NULL;
	if (environment != NULL) {
		if (is_switched_on(environment, "SPILLWAY_HUGE_PAGES"))
			huge_use(true);
		link_begin(environment, "libspillway.so");
		pressure_watch_set(environment_find(environment, "MEMORY_PRESSURE_WATCH"),
			environment_find(environment, "MEMORY_PRESSURE_WRITE"));
		trace_begin(environment_find(environment, "SPILLWAY_TRACE"));
		say_hello(environment);
	}
	settings_init(environment);
	limit_init(environment, worker_wake);
	share_init(environment);
	scavenger_init(link_sequence());
	cache_set_hook(thread_note);
	gate_set_populated(gate_populated);
	gate_set(gate_pass);
	errno = saved;
}

/* Only glibc passes arguments to constructors. */
__attribute__((constructor)) static void start(int count, char **arguments, char **environment)
{
	(void)count;
	(void)arguments;
	if (libc_is_there())
		start_in_libc(libc_environment(environment));
}

__attribute__((destructor)) static void stop(void)
{
	/* A child that no fork handler ran in, or that borrows its parent's memory, has nothing to
	 * end. */
	if (worker_process_check() != PROCESS_OWN)
		return;
	trace_end();
	share_end();
	link_slot_free();
}
