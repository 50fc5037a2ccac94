#ifndef SUPERVISOR_POLICY_CHARGE_H
#define SUPERVISOR_POLICY_CHARGE_H

#include <stdint.h>

/*
 * How much memory was newly charged to a cgroup since the last step, while its heaps gave some
 * back.
 *
 * Usage alone shows the difference of the two.  Near a wall both happen at once: one process gives
 * back 60 MiB while another one fills 25 MiB that it was granted, and usage falls.  So what the
 * heaps say they gave back is added to the rise of usage.
 *
 * Usage falls before the heaps say so.  A fall is kept for CHARGE_FALL_MS to twice that, and what
 * the heaps say later is set against it first.  A fall that no heap explains (a process that ended,
 * a file that was removed) only means that less is known to be charged.
 */

#define CHARGE_FALL_MS UINT64_C(100)

struct charge {
	uint64_t current_bytes;
	uint64_t gone_bytes;
	uint64_t fallen_bytes[2]; /* in this period and in the one before */
	uint64_t period_ms;       /* when this period began */
};

/* gone_bytes: what heaps gave back so that usage fell, cumulative; less than before: from 0. */
uint64_t charge_step(
	struct charge *charge, uint64_t current_bytes, uint64_t gone_bytes, uint64_t now_ms);

#endif
