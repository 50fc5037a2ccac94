/* The agent's constructor and the handlers that libc calls. */
#include "shim/agent/foreign.h"
#include "shim/aside.h"
#include "shim/environment.h"
#include "shim/family.h"
#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/libc.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/link_begin.h"
#include "shim/pressure.h"
#include "shim/process.h"
#include "shim/scavenger.h"
#include "shim/settings.h"
#include "shim/symbol.h"
#include "shim/thread.h"
#include "shim/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <unistd.h>

/*
 * The library has no dependency and is not linked with -z initfirst, so that its constructor runs
 * after those of libc and of the program's libraries: the allocator is ready, and has registered
 * its own fork handlers.  Ours then run first before a fork and last in the child, where the
 * allocator can be used again.
 *
 * fork in a signal's handler that interrupted malloc is safe in a program of one thread only, as
 * libc has it, and with the agent no program is one.
 */

static pthread_key_t main_key;
static bool main_key_made;

/* The main thread leaves by pthread_exit: the process must not wait for our thread. */
static void on_main_exit(void *value)
{
	(void)value;
	if (!os_is_sandboxed() && kernel_call(SYS_gettid, 0, 0, 0, 0, 0, 0) == getpid())
		worker_end();
}

static void main_note(void)
{
	const struct libc_threads *threads = libc_threads();

	if (threads == NULL)
		return;
	if (!main_key_made)
		main_key_made = threads->key_create(&main_key, on_main_exit) == 0;
	if (main_key_made)
		threads->key_set(main_key, (void *)1);
}

static void on_fork_prepare(void)
{
	if (!os_is_sandboxed() && !link_joined() && limit_setting()->kind != LIMIT_OFF)
		family_fork_prepare();
}

static void on_fork_parent(void)
{
}

static void on_fork_child(void)
{
	int saved = errno;

	process_adopt();
	foreign_fork_child();
	worker_fork_child();
	main_note();
	worker_summon();
	errno = saved;
}

static void start_in_libc(char **environment)
{
	int saved = errno;

	libc_init();
	main_note();
	(void)libc_at_fork(on_fork_prepare, on_fork_parent, on_fork_child);
	process_init();
	thread_init();
	aside_init();
	if (getauxval(AT_SECURE) != 0)
		environment = NULL;
	link_allocator_set(foreign_init(environment));
	if (environment != NULL) {
		link_begin(environment, "libspillway-agent.so");
		pressure_watch_set(environment_find(environment, "MEMORY_PRESSURE_WATCH"),
			environment_find(environment, "MEMORY_PRESSURE_WRITE"));
	}
	settings_init(environment);
	limit_init(environment, worker_wake);
	scavenger_init(link_sequence());
	worker_go_unattended();
	worker_summon();
	errno = saved;
}

/* Only glibc passes arguments to constructors.  Where libspillway.so is loaded as well, malloc is
 * ours, and steered already. */
__attribute__((constructor)) static void start(int count, char **arguments, char **environment)
{
	uintptr_t base;

	(void)count;
	(void)arguments;
	if (libc_is_there() && symbol_first("spillway_free_os_memory", &base) == NULL)
		start_in_libc(libc_environment(environment));
}

__attribute__((destructor)) static void stop(void)
{
	if (worker_process_check() == PROCESS_OWN)
		link_slot_free();
}
