/* How a request is divided among heaps, cheapest first. */
#include "supervisor/policy/supply.h"

#include "supervisor/policy/fraction.h"

static unsigned cost_of(uint64_t page_ns)
{
	unsigned cost = 0;
	for (; page_ns > 1; page_ns >>= 1)
		cost++;
	return cost;
}

uint64_t supply_page_ns(uint64_t measured_ns)
{
	return measured_ns != 0 ? measured_ns : SUPPLY_PAGE_NS;
}

void supply_add(struct supply *supply, uint64_t page_ns, uint64_t idle_bytes)
{
	uint64_t *equals_bytes = &supply->by_cost_bytes[cost_of(page_ns)];
	supply->heaps++;
	supply->idle_bytes = fraction_plus(supply->idle_bytes, idle_bytes);
	*equals_bytes = fraction_plus(*equals_bytes, idle_bytes);
}

uint64_t supply_part(
	const struct supply *supply, uint64_t missing_bytes, uint64_t page_ns, uint64_t idle_bytes)
{
	unsigned cost = cost_of(page_ns);
	uint64_t equals_bytes = supply->by_cost_bytes[cost];
	if (supply->idle_bytes == 0)
		return missing_bytes / supply->heaps;
	if (missing_bytes >= supply->idle_bytes)
		return fraction_share(missing_bytes, idle_bytes, supply->idle_bytes);
	for (unsigned cheaper = 0; cheaper < cost; cheaper++)
		missing_bytes = fraction_less(missing_bytes, supply->by_cost_bytes[cheaper]);
	if (missing_bytes > equals_bytes)
		missing_bytes = equals_bytes;
	return fraction_share(missing_bytes, idle_bytes, equals_bytes);
}
