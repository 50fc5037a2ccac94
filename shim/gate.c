/* The growth gate: credit near the wall, and waiting for what others give back. */
#include "shim/gate.h"

#include "shim/futex.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/limit.h"
#include "shim/link.h"
#include "shim/process.h"
#include "shim/worker.h"

#include <errno.h>
#include <stdatomic.h>

#define GATE_OPEN UINT64_MAX
#define CREDIT_PAGE_BYTES ((uint64_t)4096)
#define SELF_PASS_BYTES ((uint64_t)1024 * 1024)
/* Passes over the own heap per need, beyond those that the need itself calls for. */
#define SELF_PASSES_SPARE 4U

static __thread bool exempt;
/* Of the credit, by this thread since it came to the gate, and not yet resident; saturates, which
 * only tells less. */
static __thread uint32_t taken_pages;

/* Who hands out credit: the supervisor, or this process's own thread (alone.h). */
struct keeper {
	struct link_gate *gate;
	bool own;
};

static bool keeper_attends(const struct keeper *keeper, uint64_t now_ns)
{
	return keeper->own ? limit_is_attended() : link_attended(now_ns) && link_gate_is_limited();
}

static uint64_t keeper_wait_ns(const struct keeper *keeper)
{
	return (uint64_t)(keeper->own ? limit_gate_wait_ms() : link_gate_wait_ms()) * 1000000U;
}

static void keeper_ring(const struct keeper *keeper)
{
	if (keeper->own)
		limit_notify();
	else
		link_notify_supervisor();
}

/* Where to say the need, until slot_leave; NULL: nowhere. */
static struct link_slot *slot_enter(const struct keeper *keeper)
{
	if (keeper->own)
		return limit_slot();
	link_slot_take();
	link_slot_publish();
	return link_slot_enter();
}

static void slot_leave(const struct keeper *keeper)
{
	if (!keeper->own)
		link_slot_leave();
}

/* The gate of a process without a supervisor. */
static bool own_is_limited(void)
{
	return atomic_load_explicit(&limit_gate()->credit_bytes, memory_order_relaxed) != GATE_OPEN;
}

/* The supervisor's gate goes first.  False: nobody limits growth. */
static bool keeper_find(struct keeper *keeper, uint64_t now_ns)
{
	*keeper = (struct keeper){.gate = link_gate()};
	if (link_gate_is_limited() && link_attended(now_ns))
		return true;
	*keeper = (struct keeper){.gate = limit_gate(), .own = true};
	return own_is_limited() && limit_is_attended() && !link_attended(now_ns);
}

void gate_exempt_thread(void)
{
	exempt = true;
}

static void taken_pages_add(uint64_t bytes)
{
	uint64_t pages = taken_pages + bytes / CREDIT_PAGE_BYTES;

	taken_pages = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
}

/* Takes all of bytes, or nothing. */
static bool credit_take(struct link_gate *gate, uint64_t bytes)
{
	uint64_t credit = atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed);

	while (credit >= bytes) {
		if (credit == GATE_OPEN)
			return true;
		if (atomic_compare_exchange_weak(&gate->credit_bytes, &credit, credit - bytes)) {
			taken_pages_add(bytes);
			return true;
		}
	}
	return false;
}

/* Takes what there is, up to bytes. */
static void credit_take_rest(struct link_gate *gate, uint64_t bytes)
{
	uint64_t credit = atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed);
	uint64_t taken;

	do {
		if (credit == GATE_OPEN)
			return;
		taken = credit < bytes ? credit : bytes;
	} while (!atomic_compare_exchange_weak(&gate->credit_bytes, &credit, credit - taken));
}

static void credit_add(struct link_gate *gate, uint64_t bytes)
{
	uint64_t credit = atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed);

	do {
		if (credit >= GATE_OPEN - bytes)
			return;
	} while (!atomic_compare_exchange_weak(&gate->credit_bytes, &credit, credit + bytes));
}

/* Lets go of idle memory of this heap for the need; what is still missing. */
static uint64_t need_from_own_heap(struct link_gate *gate, uint64_t need)
{
	uint64_t passes = need / SELF_PASS_BYTES + SELF_PASSES_SPARE;
	uint64_t found = 0;
	bool more = true;

	for (uint64_t i = 0; i < passes && more && found < need; i++) {
		struct heap_pass pass = {
			.level = HEAP_EAGER,
			.max_bytes = SELF_PASS_BYTES,
			.idle_before_ns = UINT64_MAX,
		};

		heap_scavenge(&pass, HEAP_GROWTH);
		found += pass.clean_bytes;
		more = pass.more;
	}
	if (found <= need)
		return need - found;
	credit_add(gate, found - need);
	return 0;
}

/* How long the need may wait, as the keeper has it now: where waiting is in vain it says 0. */
static uint64_t need_wait_ns(const struct keeper *keeper, uint64_t need)
{
	uint64_t wait_ns = keeper_wait_ns(keeper);

	return need <= GATE_SMALL_BYTES ? wait_ns / GATE_SMALL_SHARE : wait_ns;
}

/* Sleeps until the credit is there, the gate opens, nobody attends it, or time is up. */
static bool need_wait(const struct keeper *keeper, uint64_t need, uint64_t start_ns)
{
	struct link_gate *gate = keeper->gate;

	for (;;) {
		uint32_t turn = atomic_load(&gate->turn);
		uint64_t wait_ns = need_wait_ns(keeper, need);
		uint64_t now_ns;

		if (credit_take(gate, need))
			return true;
		now_ns = os_now_ns();
		if (now_ns - start_ns >= wait_ns || !keeper_attends(keeper, now_ns))
			return false;
		futex_wait(&gate->turn, turn, FUTEX_ALL_BITS, start_ns + wait_ns);
	}
}

/* The child of a fork in a handler that interrupted a wait begins with nothing that waits. */
static void wants_less(struct link_slot *slot, uint64_t need)
{
	uint64_t wants = atomic_load(&slot->wants_bytes);

	while (!atomic_compare_exchange_weak(
		&slot->wants_bytes, &wants, wants > need ? wants - need : 0))
		;
}

static bool need_from_others(const struct keeper *keeper, struct link_slot *slot, uint64_t need)
{
	uint64_t start_ns = os_now_ns();
	bool granted;

	atomic_fetch_add(&slot->wants_bytes, need);
	atomic_fetch_add(&slot->gate_waits, 1);
	keeper_ring(keeper);
	granted = need_wait(keeper, need, start_ns);
	if (!granted) {
		atomic_fetch_add(&slot->gate_timeouts, 1);
		credit_take_rest(keeper->gate, need);
	}
	wants_less(slot, need);
	atomic_fetch_add(&slot->gate_wait_ns, os_now_ns() - start_ns);
	return granted;
}

/* Whether all of the need was paid for. */
static bool gate_pay(const struct keeper *keeper, uint64_t need)
{
	struct link_slot *slot;
	bool paid;

	if (credit_take(keeper->gate, need))
		return true;
	need = need_from_own_heap(keeper->gate, need);
	if (need == 0 || credit_take(keeper->gate, need))
		return true;
	slot = keeper_wait_ns(keeper) > 0 ? slot_enter(keeper) : NULL;
	if (slot == NULL) {
		credit_take_rest(keeper->gate, need);
		return false;
	}
	paid = need_from_others(keeper, slot, need);
	slot_leave(keeper);
	return paid;
}

bool gate_pass(size_t bytes)
{
	struct keeper keeper;
	bool limited = false;
	uint64_t now_ns;
	int saved;

	if (exempt)
		return false;
	worker_growth_note(bytes);
	if (!link_gate_is_limited() && !own_is_limited())
		return false;
	saved = errno;
	exempt = true;
	taken_pages = 0;
	now_ns = os_now_ns();
	if (worker_process_check() == PROCESS_OWN && keeper_find(&keeper, now_ns))
		limited =
			gate_pay(&keeper, bytes) &&
			(keeper.own ? limit_level() != HEAP_CALM : link_level(now_ns) != LINK_CALM);
	exempt = false;
	errno = saved;
	return limited;
}

void gate_populated(void)
{
	struct keeper keeper;
	struct link_slot *slot;
	uint64_t taken = (uint64_t)taken_pages * CREDIT_PAGE_BYTES;
	int saved = errno;

	taken_pages = 0;
	if (taken == 0 || !keeper_find(&keeper, os_now_ns()))
		return;
	slot = keeper.own ? limit_slot() : link_slot_enter();
	if (slot != NULL) {
		atomic_fetch_add(&slot->populated_bytes, taken);
		slot_leave(&keeper);
	}
	errno = saved;
}
