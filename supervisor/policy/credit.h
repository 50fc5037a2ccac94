#ifndef SUPERVISOR_POLICY_CREDIT_H
#define SUPERVISOR_POLICY_CREDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/charge.h"
#include "supervisor/policy/order.h"

/*
 * Headroom handed out to heaps that grow.
 *
 * What a wall can give is its headroom, less the reserve, less what is pending:
 * credit that was taken and does not yet show in memory.current.  A heap
 * populates at once what it took, yet 64 MiB take it 40 ms or more, and steps can
 * be 1 ms apart; without the pending bytes two steps would hand out the same
 * memory.  A step learns what was taken from what is left of the credit that the
 * step before gave (heap_sample.credit_left_bytes), and what was charged from
 * the leaf's usage and what its heaps gave back (charge.h), or from what the heaps say is resident
 * (heap_sample.populated_bytes).  Usage alone would not do: where a process ends while another one
 * fills what it was granted, usage falls, nobody says why, and what was filled would be pending
 * while there is room.  The heaps alone would not do either, since at calm they tell nothing.  So
 * the larger of the two counts, and what only one of them has told is noted, because the other may
 * tell the same bytes later.
 *
 * Takings that never show are forgotten after CREDIT_PENDING_MS to twice that: the heap gave back
 * as much meanwhile, or did not touch it.
 *
 * Credit is finite also when all is calm, unless the wall is further away than
 * the fastest heaps can come between two steps: a loop that looks once a second
 * does not see 256 MiB fill, the heap that runs out of credit does.
 *
 * Who waits is served first, whole.  A want that keeps its service within its fair share of the
 * wall (fair_bytes) goes before all others, the smallest first: a want is only what a service says,
 * and one that is large, or that nobody will take, must not make those who use little stand still.
 * Then comes the one who has waited longest.  Those who find too little left do not stop who comes
 * after them until they have waited half of gate_wait_ms; then nothing passes them but what keeps a
 * service within its fair share, since a wait that ends by time is growth that nobody granted.
 * What is left over is shared out evenly.  A need larger than what its own wall, or the shared one
 * when all were empty, could give holds up nobody.
 *
 * Always true: under one wall all credit together is no more than headroom
 * less reserve less pending, unless it is UINT64_MAX.
 */

#define CREDIT_PENDING_MS UINT64_C(100)
/* The fastest growth reckoned with, two times what one thread was measured at. */
#define CREDIT_FASTEST_BYTES_PER_MS UINT64_C(3500000)
/* For a service that has no process with a slot yet. */
#define CREDIT_STARTER_BYTES ((uint64_t)1024 * 1024)

/* Of one service, across steps. */
struct credit {
	uint64_t given_bytes; /* by the last step; UINT64_MAX = no limit */
	bool given;
	struct charge charge;      /* of the leaf; of no use where there is none */
	uint64_t taken_bytes;      /* since ever */
	uint64_t pending_bytes[2]; /* taken in this period and in the one before */
	uint64_t period_ms;        /* when this period began */
	uint64_t populated_bytes;  /* as of the last step */
	/* Settled by what the one told, and not yet told by the other; half of it is forgotten with
	 * each period. */
	uint64_t usage_owes_bytes;
	uint64_t heaps_owe_bytes;
	bool waiting;
	uint64_t waiting_ms; /* since when */
};

/* Accounts for what was taken and charged since the last step.  charged_bytes
 * is that of charge.h, populated_bytes that of heap_sample, less than before: from 0.  The result
 * is how much of charged_bytes was for credit. */
uint64_t credit_account(struct credit *credit, uint64_t left_bytes, uint64_t charged_bytes,
	uint64_t populated_bytes, uint64_t wants_bytes, uint64_t now_ms);

uint64_t credit_pending_bytes(const struct credit *credit);

/* One who takes part in the sharing out of one wall. */
struct credit_share {
	uint64_t wants_bytes;
	uint64_t limit_bytes; /* what its own wall can give; UINT64_MAX = anything */
	uint64_t fair_bytes;  /* what it may grow by within its fair share of the wall */
	uint64_t waited_ms;
	uint32_t gate_wait_ms;
	bool active; /* has processes; the others get CREDIT_STARTER_BYTES at most */
	struct credit_share *next;
	/* Out: */
	uint64_t credit_bytes;
	struct order order; /* of those who wait */
};

/* Shares out available_bytes to a list; sets every credit_bytes. */
void credit_share_out(struct credit_share *first, uint64_t available_bytes);

#endif
