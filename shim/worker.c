/* The thread that the scavenger runs in. */
#include "shim/worker.h"

#include "shim/alone.h"
#include "shim/futex.h"
#include "shim/gate.h"
#include "shim/heap/base/freed.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/idle_tell.h"
#include "shim/kernel.h"
#include "shim/level.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/pressure.h"
#include "shim/scavenger.h"
#include "shim/share.h"
#include "shim/thread.h"
#include "shim/trace.h"
#include "shim/trim.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SECOND_NS 1000000000U
#define RETRY_FIRST_NS ((uint64_t)SECOND_NS)
#define RETRY_LAST_NS ((uint64_t)300 * SECOND_NS)

/* Without the thread, the slot's counters are renewed after so much growth. */
#define PUBLISH_BYTES ((uint64_t)256 * 1024)

/* How often worker_summon wakes at most, and the pause between: ten milliseconds. */
#define SUMMON_WAKES 100
#define SUMMON_PAUSE_NS 100000U

/* Bits of worker_attention, besides those of worker.h. */
#define ATTEND_START 1U /* make the thread */
#define ATTEND_NOTE 2U  /* malloc is in use: clear the bit */
#define ATTEND_WAKE 4U  /* malloc is in use: wake the thread */
#define ATTEND_STEP 8U  /* there is no thread, and work under way */
#define ATTEND_LOOK 32U /* there is no thread: see how much could be given back */

/* Of free slots that a process was forked with, this part of what is in use counts as ordinary. */
#define SLACK_DIVISOR 8U

/* How long worker_step_aside waits for the thread's end at most: a second. */
#define ASIDE_LOOKS 10000
#define ASIDE_PAUSE_NS 100000U

/* LEAVING: told to step aside.  ASIDE: has done so. */
enum worker_state {
	WORKER_NONE,
	WORKER_RUNNING,
	WORKER_FAILED,
	WORKER_LEAVING,
	WORKER_ASIDE,
	WORKER_ENDED
};

_Atomic uint32_t worker_attention;
static _Atomic uint32_t state;
static _Atomic uint64_t grown_bytes;
static _Atomic uint64_t retry_ns;
static _Atomic uint64_t retry_gap_ns = RETRY_FIRST_NS;
/* Slept on where there is no link. */
static _Atomic uint32_t own_word;
/* By whoever summons the thread and by the thread; see worker.h. */
static _Atomic bool summoned;
static _Atomic uint32_t sleeping;
/* The bit that the thread sleeps with. */
static _Atomic uint32_t sleep_bits;
/* Taken by whoever does a step without the thread. */
static _Atomic bool stepping;
static _Atomic uint64_t step_due_ns;
/* The thread's id, from its first moment on; 0: it has not begun. */
static _Atomic int thread_id;
static __thread bool is_worker;
/* Callers between worker_step_aside and worker_step_back. */
static _Atomic uint32_t asides;
/* The program filters its system calls: there is no thread again. */
static _Atomic bool filtered;
static bool unattended;
/* When worker_attend woke last, in coarse time. */
static _Atomic uint64_t woken_ns;
/* Free slots that a forked process does not count as its own to give back. */
static _Atomic uint64_t slack_bytes;

static _Atomic uint32_t *sleep_word(void)
{
	_Atomic uint32_t *word = link_sequence_word();

	return word != NULL ? word : &own_word;
}

static void has_thread_store(uint32_t value)
{
	struct link_slot *slot = link_slot_enter();

	if (slot == NULL)
		return;
	atomic_store(&slot->has_thread, value);
	link_slot_leave();
}

/* Sleeps until the sequence moves on, the heap is used again, or due_ns have passed. */
static void worker_sleep(uint32_t expected, uint64_t now_ns, uint64_t due_ns)
{
	uint64_t deadline_ns = now_ns + due_ns;
	uint32_t bits = link_sequence_bits();

	atomic_store(&sleep_bits, bits);
	if (due_ns == SCAVENGER_UNTIL_NEWS) {
		if ((atomic_load(&worker_attention) & ATTEND_NOTE) != 0) {
			/* Untouched for the whole of the last sleep. */
			atomic_fetch_or(&worker_attention, ATTEND_WAKE);
			atomic_fetch_and(&worker_attention, ~ATTEND_NOTE);
			deadline_ns = UINT64_MAX;
		} else {
			atomic_fetch_or(&worker_attention, ATTEND_NOTE);
			deadline_ns = now_ns + SECOND_NS;
		}
	}
	atomic_store(&sleeping, 1);
	if (!atomic_load(&summoned) && atomic_load(&state) == WORKER_RUNNING)
		futex_wait(sleep_word(), expected, bits, deadline_ns);
	atomic_store(&sleeping, 0);
	atomic_fetch_and(&worker_attention, ~ATTEND_WAKE);
}

static void *worker_run(void *unused)
{
	uint32_t leaving = WORKER_LEAVING;

	(void)unused;
	atomic_store(&thread_id, (int)kernel_call(SYS_gettid, 0, 0, 0, 0, 0, 0));
	is_worker = true;
	gate_exempt_thread();
	thread_schedule_as_process();
	(void)kernel_call(SYS_prctl, PR_SET_NAME, (long)"spillway", 0, 0, 0, 0);
	while (atomic_load(&state) == WORKER_RUNNING) {
		uint32_t expected = atomic_load(sleep_word());
		uint64_t due_ns;
		uint64_t tend_ns;

		atomic_store(&summoned, false);
		/* Each time: the slot may be another one by now. */
		has_thread_store(1);
		level_tell(os_now_ns());
		tend_ns = alone_tend(os_now_ns(), thread_create);
		due_ns = scavenger_step(os_now_ns());
		idle_tell_watch(level_in_force(os_now_ns()) >= HEAP_EAGER);
		if (due_ns != SCAVENGER_AT_ONCE)
			worker_sleep(expected, os_now_ns(), due_ns < tend_ns ? due_ns : tend_ns);
	}
	alone_end();
	idle_tell_watch(false);
	has_thread_store(0);
	atomic_fetch_and(&worker_attention, ~(ATTEND_NOTE | ATTEND_WAKE));
	atomic_store(&stepping, false);
	if (atomic_compare_exchange_strong(&state, &leaving, WORKER_ASIDE))
		atomic_fetch_or(&worker_attention, ATTEND_START);
	return NULL;
}

static void on_freed(void)
{
	atomic_fetch_or(&worker_attention, ATTEND_LOOK);
}

static void worker_start(void)
{
	uint32_t from = atomic_load(&state);

	/* The state first: making a thread allocates, and so comes by here again. */
	if (atomic_load(&asides) != 0 ||
		(from != WORKER_NONE && from != WORKER_FAILED && from != WORKER_ASIDE) ||
		!atomic_compare_exchange_strong(&state, &from, WORKER_RUNNING))
		return;
	link_slot_take();
	share_begin();
	atomic_store(&thread_id, 0);
	/* A growing thread may be in the middle of a step; then later. */
	if (!atomic_load(&filtered) && !os_is_sandboxed() && !atomic_exchange(&stepping, true)) {
		if (thread_create(worker_run) == 0) {
			if (!link_joined())
				pressure_watch_start(thread_create);
			return;
		}
		atomic_store(&stepping, false);
	}
	atomic_store(&retry_ns, os_now_ns() + atomic_load(&retry_gap_ns));
	if (atomic_load(&retry_gap_ns) < RETRY_LAST_NS)
		atomic_fetch_add(&retry_gap_ns, atomic_load(&retry_gap_ns));
	from = WORKER_RUNNING;
	while (from != WORKER_ENDED && !atomic_compare_exchange_weak(&state, &from, WORKER_FAILED))
		;
	freed_set_hook(WORKER_GROWTH_BYTES, on_freed);
}

void worker_wake(void)
{
	atomic_fetch_add(&own_word, 1);
	(void)futex_wake(sleep_word(), INT32_MAX, atomic_load(&sleep_bits));
}

/* The work of the thread, in one that allocates; what is under way goes on with the next call. */
static void step_without_thread(uint64_t now_ns)
{
	if (now_ns < atomic_load(&step_due_ns) && !scavenger_has_news())
		return;
	if (atomic_exchange(&stepping, true))
		return;
	uint64_t due_ns = scavenger_step(now_ns);
	if (due_ns == SCAVENGER_UNTIL_NEWS)
		due_ns = SECOND_NS;
	if (due_ns == SCAVENGER_AT_ONCE)
		atomic_fetch_or(&worker_attention, ATTEND_STEP);
	atomic_store(&step_due_ns, now_ns + due_ns);
	atomic_store(&stepping, false);
}

/*
 * What could be given back, in a process without a thread.  A part of the free slots that it was
 * forked with is left out, since every heap has some.
 */
static uint64_t idle_bytes(void)
{
	uint64_t slack = atomic_load(&slack_bytes);
	struct heap_stats stats;

	heap_stats_read(&stats);
	if (slack == UINT64_MAX)
		slack = stats.in_use_bytes / SLACK_DIVISOR;
	if (slack > stats.free_slot_bytes)
		slack = stats.free_slot_bytes;
	atomic_store(&slack_bytes, slack);
	return stats.idle_dirty_bytes + stats.lazy_bytes + stats.free_slot_bytes - slack;
}

/* Starts the thread when there is work for it, else looks again when there may be. */
static void idle_look(void)
{
	uint64_t now_ns = os_now_ns();

	if (trim_inherited())
		freed_set_hook(WORKER_GROWTH_BYTES, on_freed);
	if (atomic_load(&state) == WORKER_RUNNING)
		return;
	if (now_ns >= atomic_load(&retry_ns)) {
		uint64_t idle = idle_bytes();

		if (idle < WORKER_GROWTH_BYTES) {
			freed_set_hook(WORKER_GROWTH_BYTES - idle, on_freed);
			return;
		}
		worker_start();
		if (atomic_load(&state) == WORKER_RUNNING)
			return;
	}
	step_without_thread(now_ns);
	freed_set_hook(WORKER_GROWTH_BYTES, on_freed);
}

/*
 * Sleepers of another process may share our bit, and the thread may have been about to sleep: that
 * it was woken is known only when it clears ATTEND_WAKE itself.  Until then it is woken again with
 * every tick of the coarse clock.
 */
static void wake_for_use(void)
{
	uint64_t now_ns = os_now_coarse_ns();

	if (atomic_exchange(&woken_ns, now_ns) != now_ns)
		worker_wake();
}

void worker_summon(void)
{
	int saved = errno;

	if (worker_process_check() != PROCESS_OWN)
		goto out;
	atomic_store(&summoned, true);
	if (os_now_ns() >= atomic_load(&retry_ns))
		worker_start();
	if (atomic_load(&state) != WORKER_RUNNING) {
		step_without_thread(os_now_ns());
		goto out;
	}
	for (int i = 0; i < SUMMON_WAKES; i++) {
		worker_wake();
		if (atomic_load(&sleeping) == 0 || !atomic_load(&summoned))
			goto out;
		/* Only to let time pass: a filter of system calls lets futex through. */
		os_wait((const uint32_t *)&sleeping, 1, SUMMON_PAUSE_NS);
	}
	/* It does not get to run; malloc and free go on waking. */
	atomic_fetch_or(&worker_attention, ATTEND_WAKE);
out:
	errno = saved;
}

void worker_attend(void)
{
	uint32_t attention = atomic_load(&worker_attention);
	int saved = errno;

	if (attention == WORKER_ATTEND_TRACE || worker_process_check() != PROCESS_OWN)
		goto out;
	if ((attention & ATTEND_NOTE) != 0)
		atomic_fetch_and(&worker_attention, ~ATTEND_NOTE);
	if ((attention & ATTEND_WAKE) != 0)
		wake_for_use();
	if ((attention & ATTEND_START) != 0) {
		atomic_fetch_and(&worker_attention, ~ATTEND_START);
		worker_start();
	}
	if ((attention & ATTEND_LOOK) != 0) {
		atomic_fetch_and(&worker_attention, ~ATTEND_LOOK);
		idle_look();
	}
	if ((attention & WORKER_ATTEND_TELL) != 0) {
		atomic_fetch_and(&worker_attention, ~WORKER_ATTEND_TELL);
		idle_tell();
	}
	if ((attention & ATTEND_STEP) != 0) {
		atomic_fetch_and(&worker_attention, ~ATTEND_STEP);
		if (atomic_load(&state) != WORKER_RUNNING)
			step_without_thread(os_now_ns());
	}
out:
	errno = saved;
}

/* What growth calls for where no thread runs, or where this turns out to be a copy without it. */
static void growth_without_thread(uint64_t total_bytes)
{
	uint64_t now_ns = os_now_ns();
	uint32_t now_state;

	if (worker_process_check() != PROCESS_OWN)
		return;
	now_state = atomic_load(&state);
	if ((now_state == WORKER_NONE || now_state == WORKER_ASIDE) &&
		total_bytes >= WORKER_GROWTH_BYTES)
		atomic_fetch_or(&worker_attention, ATTEND_START);
	if (now_state != WORKER_FAILED && now_state != WORKER_ENDED)
		return;
	step_without_thread(now_ns);
	if (now_state == WORKER_FAILED && now_ns >= atomic_load(&retry_ns))
		atomic_fetch_or(&worker_attention, ATTEND_START);
}

uint64_t worker_grown_bytes(void)
{
	return atomic_load_explicit(&grown_bytes, memory_order_relaxed);
}

void worker_growth_note(size_t bytes)
{
	bool running = atomic_load_explicit(&state, memory_order_relaxed) == WORKER_RUNNING;
	uint64_t before = atomic_fetch_add(&grown_bytes, bytes);
	uint64_t after = before + bytes;
	int saved = errno;

	limit_growth_note(after);
	if (link_growth_note(bytes) && worker_process_check() == PROCESS_OWN) {
		link_slot_publish();
		link_notify_supervisor();
	}
	if (!running && before / PUBLISH_BYTES != after / PUBLISH_BYTES &&
		worker_process_check() == PROCESS_OWN) {
		link_slot_publish();
		share_publish(os_now_ns());
	}
	if (before / WORKER_GROWTH_BYTES != after / WORKER_GROWTH_BYTES ||
		(!running && after >= WORKER_GROWTH_BYTES))
		growth_without_thread(after);
	errno = saved;
}

void worker_fork_child(void)
{
	link_fork_child();
	share_fork_child();
	level_fork_child();
	scavenger_init(link_sequence());
	atomic_store(&state, WORKER_NONE);
	atomic_store(&stepping, false);
	atomic_store(&sleeping, 0);
	atomic_fetch_and(&worker_attention, WORKER_ATTEND_TRACE);
	trace_fork_child();
	pressure_fork_child();
	alone_fork_child();
	idle_tell_fork_child();
	atomic_store(&grown_bytes, 0);
	atomic_store(&retry_ns, 0);
	atomic_store(&retry_gap_ns, RETRY_FIRST_NS);
	atomic_store(&step_due_ns, 0);
	atomic_store(&asides, 0);
	/* What was inherited is looked at outside of fork: the child of one in a signal's handler
	 * may hold the heap's locks. */
	atomic_store(&slack_bytes, UINT64_MAX);
	freed_set_hook(0, NULL);
	atomic_fetch_or(&worker_attention, ATTEND_LOOK);
}

void worker_fork_join(void)
{
	struct page_stats pages;

	if (heap_is_inside())
		return;
	page_heap_stats(&pages);
	if ((pages.dirty + pages.lazy) * PAGE_BYTES >= WORKER_INHERITED_BYTES)
		worker_start();
}

enum process_kind worker_process_check(void)
{
	enum process_kind kind = process_kind();

	if (kind != PROCESS_FORKED)
		return kind;
	worker_fork_child();
	return PROCESS_OWN;
}

void worker_end(void)
{
	pressure_watch_end();
	alone_end();
	if (atomic_exchange(&state, WORKER_ENDED) == WORKER_RUNNING)
		worker_wake();
}

/* 0: one that never began. */
static bool is_gone(int thread)
{
	return thread == 0 || kernel_call(SYS_tgkill, getpid(), thread, 0, 0, 0, 0) == -ESRCH;
}

/* All threads, from the kernel's view. */
static bool are_gone(void)
{
	return atomic_load(&state) != WORKER_LEAVING && !pressure_watch_runs() && !alone_runs() &&
	       is_gone(atomic_load(&thread_id)) && is_gone(pressure_watch_thread()) &&
	       is_gone(alone_thread());
}

bool worker_step_aside(void)
{
	static const uint32_t never;
	uint32_t running = WORKER_RUNNING;
	int saved = errno;

	if (is_worker || atomic_load(&filtered) || worker_process_check() != PROCESS_OWN) {
		errno = saved;
		return false;
	}
	atomic_fetch_add(&asides, 1);
	atomic_compare_exchange_strong(&state, &running, WORKER_LEAVING);
	if (atomic_load(&state) == WORKER_LEAVING) {
		for (int i = 0; i < ASIDE_LOOKS && !are_gone(); i++) {
			pressure_watch_end();
			alone_end();
			worker_wake();
			os_wait(&never, 0, ASIDE_PAUSE_NS);
		}
	}
	errno = saved;
	return true;
}

void worker_step_back(bool stepped, bool is_filtered)
{
	if (!stepped)
		return;
	/* No system call from here on: the filter may be for this one. */
	if (is_filtered)
		atomic_store(&filtered, true);
	/* None where a handler forked in between and this is the child. */
	if (atomic_load(&asides) != 0)
		atomic_fetch_sub(&asides, 1);
	if (atomic_load(&state) != WORKER_ASIDE)
		return;
	atomic_fetch_or(&worker_attention, ATTEND_START);
	if (unattended && !atomic_load(&filtered))
		worker_attend();
}

void worker_go_unattended(void)
{
	unattended = true;
}
