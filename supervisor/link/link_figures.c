/* Reads the figures of slots and puts them together; whose slot counts is link_slots.c's. */
#include "supervisor/link/link_figures.h"

#define PAGE_BYTES UINT64_C(4096)
/* A fault on a page that was given back costs so many times what the advice did where the heap does
 * not say: 53 ms for 100 MiB were measured, and 5.9. */
#define FAULT_ADVISES 9U
/* Fewer pages say what a system call costs, and not what a page does. */
#define PAGES_LEAST 256U
/* More is no cost but a wrong number. */
#define PAGE_NS_MOST UINT64_C(1000000000)

uint64_t link_figures_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t total_only(enum figure_kind kind, uint64_t value)
{
	return kind == FIGURE_TOTAL ? value : 0;
}

static uint64_t together(enum figure_kind kind, uint64_t a, uint64_t b)
{
	if (kind == FIGURE_HIGHEST)
		return a > b ? a : b;
	return link_figures_sum(a, b);
}

void link_figures_read(
	const struct link_slot *slot, struct link_figures *seen, struct link_figures *gone)
{
	struct link_figures fallen = {0};
	uint64_t value;
#define READ(name, kind, attribute) \
	value = atomic_load_explicit(&slot->name, memory_order_relaxed); \
	if (value < seen->name) \
		fallen.name = seen->name; \
	seen->name = value;
	FIGURES_OF_SLOT(READ)
#undef READ
	link_figures_retire(&fallen, gone);
}

void link_figures_retire(const struct link_figures *seen, struct link_figures *gone)
{
#define RETIRE(name, kind, attribute) \
	gone->name = link_figures_sum(gone->name, total_only(FIGURE_##kind, seen->name));
	FIGURES_OF_SLOT(RETIRE)
#undef RETIRE
}

void link_figures_add(struct link_figures *sum, const struct link_figures *one)
{
#define ADD(name, kind, attribute) sum->name = together(FIGURE_##kind, sum->name, one->name);
	FIGURES_OF_SLOT(ADD)
#undef ADD
}

uint64_t link_figures_released(const struct link_figures *figures)
{
	uint64_t sum = 0;
#define ADD(name, kind, attribute) sum = link_figures_sum(sum, figures->name);
	FIGURES_RELEASED(ADD)
#undef ADD
	return sum;
}

uint64_t link_figures_gone(const struct link_figures *figures)
{
	uint64_t sum =
		link_figures_sum(figures->released_growth_bytes, figures->released_eager_bytes);
	return link_figures_sum(sum, figures->released_full_bytes);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t link_figures_page_ns(const struct link_figures *figures)
{
	uint64_t pages = link_figures_released(figures) / PAGE_BYTES;
	uint64_t again = figures->refault_touched_bytes / PAGE_BYTES;
	if (pages < PAGES_LEAST)
		return 0;
	if (again > pages)
		again = pages;
	uint64_t advise_ns = figures->advise_ns / pages;
	advise_ns = advise_ns == 0 ? 1 : least(advise_ns, PAGE_NS_MOST);
	uint64_t fault_ns =
		figures->fault_page_ns != 0 ? figures->fault_page_ns : advise_ns * FAULT_ADVISES;
	fault_ns = least(fault_ns, PAGE_NS_MOST);
	/* In permille of a fault each. */
	uint64_t permille = again > UINT64_MAX / 1000 ? 1000 : again * 1000 / pages;
	return advise_ns + fault_ns * permille / 1000;
}
