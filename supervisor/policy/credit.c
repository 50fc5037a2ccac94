/* Shares headroom out to heaps that grow. */
#include "supervisor/policy/credit.h"

#include "supervisor/policy/fraction.h"

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t settle(uint64_t *pending_bytes, uint64_t charged_bytes)
{
	uint64_t bytes = less_of(*pending_bytes, charged_bytes);
	*pending_bytes -= bytes;
	return bytes;
}

/* What of the bytes is news: the rest was settled by the other's word before. */
static uint64_t pay_debt(uint64_t *owed_bytes, uint64_t bytes)
{
	uint64_t paid_bytes = less_of(*owed_bytes, bytes);
	*owed_bytes -= paid_bytes;
	return bytes - paid_bytes;
}

static void begin_period(struct credit *credit, uint64_t now_ms)
{
	uint64_t passed_ms = fraction_less(now_ms, credit->period_ms);
	if (passed_ms < CREDIT_PENDING_MS)
		return;
	credit->pending_bytes[1] = passed_ms < 2 * CREDIT_PENDING_MS ? credit->pending_bytes[0] : 0;
	credit->pending_bytes[0] = 0;
	credit->usage_owes_bytes /= 2;
	credit->heaps_owe_bytes /= 2;
	credit->period_ms = now_ms;
}

/* Returns how much of charged_bytes was for credit. */
static uint64_t settle_pending(
	struct credit *credit, uint64_t charged_bytes, uint64_t populated_bytes)
{
	uint64_t fresh_bytes = populated_bytes < credit->populated_bytes
				       ? populated_bytes
				       : populated_bytes - credit->populated_bytes;
	credit->populated_bytes = populated_bytes;
	uint64_t by_usage_bytes = pay_debt(&credit->usage_owes_bytes, charged_bytes);
	uint64_t by_heaps_bytes = pay_debt(&credit->heaps_owe_bytes, fresh_bytes);
	uint64_t told_bytes = by_usage_bytes > by_heaps_bytes ? by_usage_bytes : by_heaps_bytes;
	uint64_t settled_bytes = settle(&credit->pending_bytes[1], told_bytes);
	settled_bytes += settle(&credit->pending_bytes[0], told_bytes - settled_bytes);
	uint64_t owed_before_bytes = charged_bytes - by_usage_bytes;
	credit->usage_owes_bytes = fraction_plus(
		credit->usage_owes_bytes, fraction_less(settled_bytes, by_usage_bytes));
	credit->heaps_owe_bytes = fraction_plus(
		credit->heaps_owe_bytes, fraction_less(settled_bytes, by_heaps_bytes));
	return owed_before_bytes + less_of(settled_bytes, by_usage_bytes);
}

uint64_t credit_account(struct credit *credit, uint64_t left_bytes, uint64_t charged_bytes,
	uint64_t populated_bytes, uint64_t wants_bytes, uint64_t now_ms)
{
	uint64_t taken_bytes = 0;
	if (credit->given && credit->given_bytes != UINT64_MAX)
		taken_bytes = fraction_less(credit->given_bytes, left_bytes);
	begin_period(credit, now_ms);
	credit->taken_bytes = fraction_plus(credit->taken_bytes, taken_bytes);
	credit->pending_bytes[0] = fraction_plus(credit->pending_bytes[0], taken_bytes);
	uint64_t settled_bytes = settle_pending(credit, charged_bytes, populated_bytes);
	if (wants_bytes > 0 && !credit->waiting)
		credit->waiting_ms = now_ms;
	credit->waiting = wants_bytes > 0;
	return settled_bytes;
}

uint64_t credit_pending_bytes(const struct credit *credit)
{
	return fraction_plus(credit->pending_bytes[0], credit->pending_bytes[1]);
}

static struct credit_share *share_of(struct order *order)
{
	return (struct credit_share *)(void *)((char *)order -
					       offsetof(struct credit_share, order));
}

static bool is_fair(const struct credit_share *share)
{
	return share->wants_bytes <= share->fair_bytes && share->wants_bytes <= share->limit_bytes;
}

/* Those who wait: fair: and want no more than is fair, the smallest want first; otherwise: and were
 * not served as such, the one who came first before the others.  NULL = nobody. */
static struct order *waiting(struct credit_share *list, bool fair)
{
	struct order *first = NULL;
	struct order **end = &first;
	for (struct credit_share *share = list; share != NULL; share = share->next) {
		bool passes = fair ? is_fair(share) : share->credit_bytes == 0;
		if (share->wants_bytes == 0 || !passes)
			continue;
		share->order = (struct order){
			.key = fair ? UINT64_MAX - share->wants_bytes : share->waited_ms};
		*end = &share->order;
		end = &share->order.next;
	}
	return order_by_key(first);
}

/* Returns what is left over. */
static uint64_t serve_fair(struct credit_share *list, uint64_t available_bytes)
{
	for (struct order *order = waiting(list, true); order != NULL; order = order->next) {
		struct credit_share *share = share_of(order);
		if (share->wants_bytes > available_bytes)
			break;
		share->credit_bytes = share->wants_bytes;
		available_bytes -= share->credit_bytes;
	}
	return available_bytes;
}

/* Before all that is left is kept for one who has waited for long: an even part for each of the
 * others, as far as it is fair.  Without it each of their needs would wait for a step. */
static uint64_t spare_fair(
	struct credit_share *list, const struct credit_share *holder, uint64_t available_bytes)
{
	size_t count = 0;
	for (struct credit_share *share = list; share != NULL; share = share->next)
		count += share->active ? 1 : 0;
	uint64_t part_bytes = count > 0 ? available_bytes / count : 0;
	for (struct credit_share *share = list; share != NULL; share = share->next) {
		uint64_t most_bytes = less_of(share->fair_bytes, share->limit_bytes);
		if (!share->active || share == holder)
			continue;
		uint64_t more_bytes =
			less_of(part_bytes, fraction_less(most_bytes, share->credit_bytes));
		share->credit_bytes += more_bytes;
		available_bytes -= more_bytes;
	}
	return available_bytes;
}

static uint64_t serve_waiting(struct credit_share *list, uint64_t available_bytes)
{
	for (struct order *order = waiting(list, false); order != NULL; order = order->next) {
		struct credit_share *share = share_of(order);
		if (share->wants_bytes > share->limit_bytes)
			continue; /* its own wall is in its way: what is free here is no help */
		if (share->wants_bytes <= available_bytes) {
			share->credit_bytes = share->wants_bytes;
			available_bytes -= share->wants_bytes;
		} else if (share->waited_ms * 2 >= share->gate_wait_ms) {
			share->credit_bytes = spare_fair(list, share, available_bytes);
			return 0;
		}
	}
	return available_bytes;
}

void credit_share_out(struct credit_share *first, uint64_t available_bytes)
{
	size_t count = 0;
	size_t active = 0;
	struct credit_share *share;
	for (share = first; share != NULL; share = share->next) {
		share->credit_bytes = 0;
		count++;
		active += share->active ? 1 : 0;
	}
	available_bytes = serve_waiting(first, serve_fair(first, available_bytes));
	for (share = first; share != NULL; share = share->next) {
		if (share->active)
			continue;
		uint64_t part_bytes = less_of(available_bytes / count, CREDIT_STARTER_BYTES);
		share->credit_bytes = less_of(part_bytes, share->limit_bytes);
		available_bytes -= share->credit_bytes;
	}
	/* What one cannot use for its own wall, those after it share. */
	for (share = first; share != NULL && active > 0; share = share->next) {
		if (!share->active)
			continue;
		uint64_t more_bytes = less_of(available_bytes / active,
			fraction_less(share->limit_bytes, share->credit_bytes));
		share->credit_bytes += more_bytes;
		available_bytes -= more_bytes;
		active--;
	}
}
