/* How much CPU time any ten seconds saw. */
#include "shim/heap/scavenge/budget.h"

void budget_spend(struct budget *budget, uint64_t now_ns, uint64_t spent_ns)
{
	uint64_t slot = now_ns / BUDGET_SLOT_NS;

	for (unsigned i = 0; budget->slot < slot && i < BUDGET_SLOTS; i++)
		budget->spent_ns[++budget->slot % BUDGET_SLOTS] = 0;
	if (budget->slot < slot)
		budget->slot = slot;
	budget->spent_ns[budget->slot % BUDGET_SLOTS] += spent_ns;
}

/* All that was spent in slots after this one. */
static uint64_t spent_after(const struct budget *budget, uint64_t slot)
{
	uint64_t sum_ns = 0;

	for (uint64_t i = 0; i < BUDGET_SLOTS && budget->slot - i > slot; i++)
		sum_ns += budget->spent_ns[(budget->slot - i) % BUDGET_SLOTS];
	return sum_ns;
}

uint64_t budget_wait_ns(
	const struct budget *budget, uint64_t now_ns, uint64_t need_ns, uint64_t limit_ns)
{
	uint64_t now_slot = now_ns / BUDGET_SLOT_NS;

	for (uint64_t wait = 0; wait < BUDGET_SLOTS; wait++) {
		uint64_t then = now_slot + wait;
		uint64_t out = then > BUDGET_SLOTS ? then - BUDGET_SLOTS : 0;

		if (spent_after(budget, out) + need_ns <= limit_ns)
			return wait == 0 ? 0 : then * BUDGET_SLOT_NS - now_ns;
	}
	return (now_slot + BUDGET_SLOTS) * BUDGET_SLOT_NS - now_ns;
}
