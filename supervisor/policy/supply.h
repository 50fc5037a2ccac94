#ifndef SUPERVISOR_POLICY_SUPPLY_H
#define SUPERVISOR_POLICY_SUPPLY_H

#include <stddef.h>
#include <stdint.h>

/*
 * What heaps hold idle, by what a page costs there, and how a request is divided among them.
 *
 * Cheap first: a request goes to the heaps to which a page costs least, as far as they hold idle
 * memory, then to those to which it costs twice as much, and so on.  Equals give in proportion to
 * what each holds idle.  When all together hold less than is asked for, all of them are asked in
 * that proportion; when none holds anything, each is asked for the same.
 *
 * The same holds between services under one wall (target.h) and between the processes of one
 * service (supervisor/link/link_parts.h).
 */

/* Of an advice, as it was measured for 300 MiB: where the cost is not known yet. */
#define SUPPLY_PAGE_NS 240U
/* Costs of which the larger is less than twice the smaller may be equal: powers of 2. */
#define SUPPLY_COSTS 64U

/* All zero at the start. */
struct supply {
	uint64_t idle_bytes; /* of all heaps */
	size_t heaps;
	uint64_t by_cost_bytes[SUPPLY_COSTS];
};

/* What a page costs by what was measured; 0 = nothing was. */
uint64_t supply_page_ns(uint64_t measured_ns);

/* One more heap, to which a page costs page_ns. */
void supply_add(struct supply *supply, uint64_t page_ns, uint64_t idle_bytes);

/* What one of the heaps that were added gives of the bytes that are missing. */
uint64_t supply_part(
	const struct supply *supply, uint64_t missing_bytes, uint64_t page_ns, uint64_t idle_bytes);

#endif
