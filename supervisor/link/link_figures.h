#ifndef SUPERVISOR_LINK_LINK_FIGURES_H
#define SUPERVISOR_LINK_LINK_FIGURES_H

#include <stdint.h>

#include "shim/protocol.h"

/*
 * The figures of a slot (shim/figures.h) in our own memory: of one process as last read, or of
 * several together.
 *
 * Totals outlive their process.  When it is gone, or when a total falls because exec keeps the
 * slot and clears it, what was reached is added to *gone.  So the sums of totals never fall,
 * whatever is written into a slot.
 */

struct link_figures {
	FIGURES_OF_SLOT(FIGURE_MEMBER)
};

/* *seen becomes what the slot says, each figure read once. */
void link_figures_read(
	const struct link_slot *slot, struct link_figures *seen, struct link_figures *gone);

/* The process of *seen is gone: its totals are added to *gone. */
void link_figures_retire(const struct link_figures *seen, struct link_figures *gone);

/* Adds one to *sum, each figure as its kind says. */
void link_figures_add(struct link_figures *sum, const struct link_figures *one);

/* By whatever made it go. */
uint64_t link_figures_released(const struct link_figures *figures);

/* The same, less what may have been left to the kernel to take. */
uint64_t link_figures_gone(const struct link_figures *figures);

/* What it costs to give back a page of 4 KiB, by the advice that was given, with a fault for the
 * part of them that was wanted again; 0 = too little was given back yet. */
uint64_t link_figures_page_ns(const struct link_figures *figures);

uint64_t link_figures_sum(uint64_t a, uint64_t b); /* saturating */

#endif
