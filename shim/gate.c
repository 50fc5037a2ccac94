/* The growth gate: credit near the wall, and waiting for what others give back. */
#include "shim/gate.h"

#include "shim/futex.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/link.h"
#include "shim/process.h"
#include "shim/worker.h"

#include <errno.h>
#include <stdatomic.h>

#define GATE_OPEN UINT64_MAX
#define SELF_PASS_BYTES ((uint64_t)1024 * 1024)
/* Passes over the own heap per need, beyond those that the need itself calls for. */
#define SELF_PASSES_SPARE 4U

static __thread bool exempt;

void gate_exempt_thread(void)
{
	exempt = true;
}

/* Takes all of bytes, or nothing. */
static bool credit_take(struct link_gate *gate, uint64_t bytes)
{
	uint64_t credit = atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed);

	while (credit >= bytes)
		if (credit == GATE_OPEN ||
			atomic_compare_exchange_weak(&gate->credit_bytes, &credit, credit - bytes))
			return true;
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

/* Sleeps until the credit is there, the gate opens, nobody attends it, or time is up. */
static bool need_wait(struct link_gate *gate, uint64_t need, uint64_t start_ns, uint64_t wait_ns)
{
	for (;;) {
		uint32_t turn = atomic_load(&gate->turn);
		uint64_t now_ns;

		if (credit_take(gate, need))
			return true;
		now_ns = os_now_ns();
		if (now_ns - start_ns >= wait_ns || !link_attended(now_ns))
			return false;
		futex_wait(&gate->turn, turn, FUTEX_ALL_BITS, start_ns + wait_ns);
	}
}

static bool need_from_others(struct link_gate *gate, struct link_slot *slot, uint64_t need)
{
	uint64_t wait_ns = (uint64_t)link_gate_wait_ms() * 1000000U;
	uint64_t start_ns = os_now_ns();
	bool granted;

	if (need <= GATE_SMALL_BYTES)
		wait_ns /= GATE_SMALL_SHARE;
	atomic_fetch_add(&slot->wants_bytes, need);
	atomic_fetch_add(&slot->gate_waits, 1);
	link_doorbell_ring();
	granted = need_wait(gate, need, start_ns, wait_ns);
	if (!granted) {
		atomic_fetch_add(&slot->gate_timeouts, 1);
		credit_take_rest(gate, need);
	}
	atomic_fetch_sub(&slot->wants_bytes, need);
	atomic_fetch_add(&slot->gate_wait_ns, os_now_ns() - start_ns);
	return granted;
}

/* Whether all of the need was paid for. */
static bool gate_pay(struct link_gate *gate, uint64_t need)
{
	struct link_slot *slot;
	bool paid;

	if (credit_take(gate, need))
		return true;
	need = need_from_own_heap(gate, need);
	if (need == 0 || credit_take(gate, need))
		return true;
	link_slot_take();
	link_slot_publish();
	slot = link_slot_enter();
	if (slot == NULL) {
		credit_take_rest(gate, need);
		return false;
	}
	paid = need_from_others(gate, slot, need);
	link_slot_leave();
	return paid;
}

bool gate_pass(size_t bytes)
{
	struct link_gate *gate;
	bool limited = false;
	uint64_t now_ns;
	int saved;

	if (exempt)
		return false;
	worker_growth_note(bytes);
	gate = link_gate();
	if (gate == NULL ||
		atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed) == GATE_OPEN)
		return false;
	saved = errno;
	exempt = true;
	now_ns = os_now_ns();
	if (worker_process_check() == PROCESS_OWN && link_attended(now_ns))
		limited = gate_pay(gate, bytes) && link_level(now_ns) != LINK_CALM;
	exempt = false;
	errno = saved;
	return limited;
}
