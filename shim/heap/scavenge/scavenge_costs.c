/* What advice and faults cost on this machine, measured as they happen. */
#include "shim/heap/scavenge/scavenge_costs.h"

#include "shim/heap/base/page.h"
#include "shim/heap/pages/huge.h"

#include <stdatomic.h>

/* Median of a two-CPU virtual machine, Linux 6.18. */
#define REFAULT_HUGE_PAGE_NS 308U

#define AGAIN_NS ((uint64_t)60 * 1000000000)
#define PART 8U
/* The first so many measures come by the second and count alike. */
#define MEASURES_FIRST 8U
#define AGAIN_FIRST_NS ((uint64_t)1000000000)
#define UP_MAX 64U
#define DOWN_MAX 8U

/* 0: not measured yet.  In 16ths of a nanosecond. */
static struct {
	_Atomic uint64_t free_page[RUN_CLASSES];
	_Atomic uint64_t dontneed_page[RUN_CLASSES];
	_Atomic uint64_t dontneed_lazy_page;
	_Atomic uint64_t refault_page;
	_Atomic uint64_t lazy_write_page;
	_Atomic uint64_t refault_huge_page;
	_Atomic uint64_t measured_ns;
	_Atomic uint64_t measured_huge_ns;
	_Atomic uint32_t measures;
} averages;

/* A new value counts for this part of the average.  Not atomic as a whole: of two notes at once
 * one may be lost. */
static void average(
	_Atomic uint64_t *of, uint64_t first_ns, uint64_t part, uint64_t spent_ns, size_t pages)
{
	uint64_t before = atomic_load_explicit(of, memory_order_relaxed);
	uint64_t now = spent_ns * 16 / pages;
	uint64_t least = first_ns * 16 / DOWN_MAX;
	uint64_t most = first_ns * 16 * UP_MAX;

	if (spent_ns == 0)
		return;
	if (before != 0)
		now = before - before / part + now / part;
	now = now < least ? least : now > most ? most : now;
	atomic_store_explicit(of, now, memory_order_relaxed);
}

static uint64_t read(const _Atomic uint64_t *of, uint64_t first_ns)
{
	uint64_t value = atomic_load_explicit(of, memory_order_relaxed);

	return value != 0 ? (value + 8) / 16 : first_ns;
}

void scavenge_costs_read(struct scavenge_costs *costs)
{
	const struct scavenge_costs *first = &scavenge_costs_first;

	for (unsigned i = 0; i < RUN_CLASSES; i++) {
		costs->free_page_ns[i] = read(&averages.free_page[i], first->free_page_ns[i]);
		costs->dontneed_page_ns[i] =
			read(&averages.dontneed_page[i], first->dontneed_page_ns[i]);
	}
	costs->dontneed_lazy_page_ns =
		read(&averages.dontneed_lazy_page, first->dontneed_lazy_page_ns);
	costs->refault_page_ns = read(&averages.refault_page, first->refault_page_ns);
	costs->lazy_write_page_ns = read(&averages.lazy_write_page, first->lazy_write_page_ns);
	costs->refault_huge_page_ns =
		huge_is_on() ? read(&averages.refault_huge_page, REFAULT_HUGE_PAGE_NS) : 0;
}

void scavenge_costs_note(
	enum os_advice advice, bool were_lazy, size_t pages, size_t ranges, uint64_t spent_ns)
{
	enum run_class size;

	if (pages == 0 || ranges == 0)
		return;
	size = run_class_of(pages / ranges);
	if (were_lazy && advice == OS_DONTNEED)
		average(&averages.dontneed_lazy_page, scavenge_costs_first.dontneed_lazy_page_ns,
			PART, spent_ns, pages);
	else if (!were_lazy && advice == OS_DONTNEED)
		average(&averages.dontneed_page[size], scavenge_costs_first.dontneed_page_ns[size],
			PART, spent_ns, pages);
	else if (!were_lazy && advice == OS_FREE)
		average(&averages.free_page[size], scavenge_costs_first.free_page_ns[size], PART,
			spent_ns, pages);
}

static bool is_due(_Atomic uint64_t *measured_ns, uint64_t now_ns, uint64_t again_ns)
{
	uint64_t last_ns = atomic_load_explicit(measured_ns, memory_order_relaxed);

	return (last_ns == 0 || now_ns - last_ns >= again_ns) &&
	       atomic_compare_exchange_strong(measured_ns, &last_ns, now_ns);
}

bool scavenge_costs_due(uint64_t now_ns)
{
	uint32_t measures = atomic_load_explicit(&averages.measures, memory_order_relaxed);

	return is_due(&averages.measured_ns, now_ns,
		measures < MEASURES_FIRST ? AGAIN_FIRST_NS : AGAIN_NS);
}

bool scavenge_costs_huge_due(uint64_t now_ns)
{
	return is_due(&averages.measured_huge_ns, now_ns, AGAIN_NS);
}

int scavenge_costs_measure(void *start, size_t bytes)
{
	struct os_range range = {.start = start, .bytes = bytes};
	size_t pages = bytes / PAGE_BYTES;
	uint64_t measures = atomic_fetch_add_explicit(&averages.measures, 1, memory_order_relaxed);
	uint64_t part = measures < PART ? measures + 1 : PART;
	uint64_t at_ns[4];

	at_ns[0] = os_cpu_ns();
	os_touch(start, bytes);
	at_ns[1] = os_cpu_ns();
	average(&averages.refault_page, scavenge_costs_first.refault_page_ns, part,
		at_ns[1] - at_ns[0], pages);
	if (os_advise(&range, 1, OS_FREE) == 0) {
		at_ns[2] = os_cpu_ns();
		os_touch(start, bytes);
		at_ns[3] = os_cpu_ns();
		average(&averages.lazy_write_page, scavenge_costs_first.lazy_write_page_ns, part,
			at_ns[3] - at_ns[2], pages);
	}
	return os_advise(&range, 1, OS_DONTNEED);
}

int scavenge_costs_measure_huge(void *chunk)
{
	struct os_range range = {.start = chunk, .bytes = CHUNK_BYTES};
	uint64_t start_ns = os_cpu_ns();

	os_touch(chunk, CHUNK_BYTES);
	average(&averages.refault_huge_page, REFAULT_HUGE_PAGE_NS, PART, os_cpu_ns() - start_ns,
		CHUNK_PAGES);
	return os_advise(&range, 1, OS_DONTNEED);
}
