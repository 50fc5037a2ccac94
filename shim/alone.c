/* The thread that keeps a process without a supervisor below its limit. */
#include "shim/alone.h"

#include "shim/family.h"
#include "shim/futex.h"
#include "shim/gate.h"
#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/link_renew.h"
#include "shim/look.h"
#include "shim/worker.h"

#include <stdatomic.h>
#include <sys/prctl.h>

#define MS_NS UINT64_C(1000000)
#define LINKED_MARK_BYTES (16 * LOOK_MIB)
#define LINKED_LOOK_NS (20000 * MS_NS)
#define TEND_NS (1000 * MS_NS)

static _Atomic bool running;
static _Atomic bool ended;
static _Atomic int thread_id;
/* The scavenger's thread's: when it last asked how much idles, and whether a supervisor was there.
 */
static uint64_t tended_ns;
static bool was_linked;

/* As look_step; a supervisor goes first. */
static uint32_t alone_step(uint64_t now_ns)
{
	if (atomic_load(&ended))
		return 0;
	if (look_has_own_descriptors())
		link_renew(now_ns);
	if (!link_attended(now_ns) && limit_setting()->kind != LIMIT_OFF)
		return look_step(now_ns);
	look_mark_set(LINKED_MARK_BYTES);
	return 0;
}

/* What was meant for this process by then, below the wall that it knew. */
struct heard {
	uint32_t notified;
	uint32_t calls;
	uint64_t wall;
};

static struct heard hear(void)
{
	return (struct heard){
		.notified = limit_notified(),
		.calls = family_calls(look_wall()),
		.wall = look_wall(),
	};
}

static bool is_news(const struct heard *heard)
{
	return limit_notified() != heard->notified || family_calls(heard->wall) != heard->calls;
}

/* The word is read before what was meant for us, and changes after it: nothing is missed. */
static void sleep_on(
	_Atomic uint32_t *word, uint32_t bits, const struct heard *heard, uint64_t until_ns)
{
	for (;;) {
		uint32_t value = atomic_load(word);

		if (is_news(heard) || os_now_ns() >= until_ns)
			return;
		futex_wait(word, value, bits | family_bits_wall(look_wall()), until_ns);
	}
}

static void *alone_run(void *unused)
{
	_Atomic uint32_t *shared = family_word();
	_Atomic uint32_t *word = shared != NULL ? shared : &limit_gate()->notify;
	uint32_t bits = shared != NULL ? family_bits_own() : FUTEX_ALL_BITS;
	struct heard heard;

	(void)unused;
	atomic_store(&thread_id, (int)kernel_call(SYS_gettid, 0, 0, 0, 0, 0, 0));
	gate_exempt_thread();
	(void)kernel_call(SYS_prctl, PR_SET_NAME, (long)"spillway-limit", 0, 0, 0, 0);
	if (look_begin()) {
		limit_attend(word, bits);
		for (;;) {
			uint64_t now_ns = os_now_ns();
			uint32_t ms;

			heard = hear();
			ms = alone_step(now_ns);
			if (ms == 0)
				break;
			sleep_on(word, bits, &heard, now_ns + ms * MS_NS);
		}
		limit_attend(NULL, 0);
		/* Notified while this was being decided. */
		if (is_news(&heard) && !atomic_load(&ended))
			limit_want(true);
		limit_lift();
		look_end();
	}
	atomic_store(&running, false);
	worker_wake();
	return NULL;
}

static void alone_start(int (*start)(void *(*run)(void *)))
{
	if (atomic_exchange(&running, true))
		return;
	atomic_store(&ended, false);
	atomic_store(&thread_id, 0);
	limit_want(false);
	if (start(alone_run) == 0)
		return;
	atomic_store(&running, false);
	look_mark_set(LOOK_NO_LIMIT_BYTES);
}

uint64_t alone_tend(uint64_t now_ns, int (*start)(void *(*run)(void *)))
{
	bool linked = link_attended(now_ns);

	if (alone_runs())
		return UINT64_MAX;
	if (link_renew_is_due(now_ns)) {
		alone_start(start);
		return UINT64_MAX;
	}
	if (limit_setting()->kind == LIMIT_OFF)
		return UINT64_MAX;
	if (linked != was_linked && !linked)
		limit_want(true);
	was_linked = linked;
	if (linked && limit_is_wanted()) {
		limit_want(false);
		look_mark_set(LINKED_MARK_BYTES);
	}
	if (limit_is_wanted()) {
		alone_start(start);
		return UINT64_MAX;
	}
	if (look_limit_bytes() == 0 && !linked)
		return UINT64_MAX;
	if (now_ns - tended_ns < TEND_NS)
		return tended_ns + TEND_NS - now_ns;
	tended_ns = now_ns;
	if (!look_finds_idle())
		return UINT64_MAX;
	if (linked)
		return LINKED_LOOK_NS;
	alone_start(start);
	return UINT64_MAX;
}

void alone_end(void)
{
	atomic_store(&ended, true);
	if (alone_runs())
		limit_notify();
}

bool alone_runs(void)
{
	return atomic_load(&running);
}

int alone_thread(void)
{
	return atomic_load(&thread_id);
}

void alone_fork_child(void)
{
	atomic_store(&running, false);
	atomic_store(&ended, false);
	atomic_store(&thread_id, 0);
	tended_ns = 0;
	was_linked = false;
	look_fork_child();
	limit_fork_child();
}
