#ifndef SUPERVISOR_LINK_LINK_PARTS_H
#define SUPERVISOR_LINK_LINK_PARTS_H

#include <stdint.h>

#include "config/config.h"
#include "shim/protocol.h"
#include "supervisor/link/link_slots.h"

/*
 * Which processes of one service a release is asked of, and for how much each.
 *
 * While what the processes say they hold idle covers target_bytes, they give as policy/supply.h
 * divides it, by what a page costs in each: the advice, and the faults that followed as often as
 * memory was wanted again there.  A process without a scavenger thread gives nothing then, as it
 * answers nobody.  When it does not cover the target, or all is asked for, every process is asked
 * for all of target_bytes: a release may find more than a slot says.
 */

/* Writes header->spared for a release, before its sequence number.  How many processes that can
 * answer are asked for nothing. */
uint32_t link_parts_write(struct link_header *header, const struct link_slots *slots,
	enum level level, uint64_t target_bytes);

#endif
