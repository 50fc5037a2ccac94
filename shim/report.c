/* glibc's reports: mallinfo, malloc_stats, malloc_info. */
#include "shim/heap/front/heap.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The heap's figures under glibc's names: mallinfo, malloc_stats, malloc_info.
 */

#define EXPORT __attribute__((visibility("default")))

/*
 * The heap's figures under glibc's names.  arena is what is or may be resident
 * beside large blocks; uordblks and fordblks add up to it.
 */
EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_stats stats;
	struct mallinfo2 info = {0};

	heap_stats_read(&stats);
	info.hblks = stats.large_blocks;
	info.hblkhd = stats.large_bytes;
	info.uordblks = stats.in_use_bytes - stats.free_slot_bytes - stats.large_bytes;
	info.fordblks = stats.free_slot_bytes + stats.idle_dirty_bytes + stats.lazy_bytes;
	info.arena = info.uordblks + info.fordblks;
	info.keepcost = stats.idle_dirty_bytes + stats.lazy_bytes;
	return info;
}

static int as_int(size_t value)
{
	return value > INT32_MAX ? INT32_MAX : (int)value;
}

/* The old form's ints end at 2 GiB; they stay there. */
EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){
		.arena = as_int(wide.arena),
		.hblks = as_int(wide.hblks),
		.hblkhd = as_int(wide.hblkhd),
		.uordblks = as_int(wide.uordblks),
		.fordblks = as_int(wide.fordblks),
		.keepcost = as_int(wide.keepcost),
	};
}

/* Text is made on the stack and written in one call: stdio may allocate, and nothing is held then.
 */
#define STATS_TEXT_BYTES 4096
#define COUNT(value) ((unsigned long long)(value))

EXPORT void malloc_stats(void)
{
	char text[STATS_TEXT_BYTES];
	struct heap_stats stats;

	heap_stats_read(&stats);
	snprintf(text, sizeof text,
		"spillway heap\n"
		"mapped bytes     = %20llu\n"
		"in use bytes     = %20llu\n"
		"free slot bytes  = %20llu\n"
		"idle dirty bytes = %20llu\n"
		"lazy bytes       = %20llu\n"
		"clean bytes      = %20llu\n"
		"metadata bytes   = %20llu\n"
		"peak in use      = %20llu\n"
		"large blocks     = %20llu\n"
		"large bytes      = %20llu\n"
		"released bytes   = %20llu background, %llu growth, %llu lazy, %llu eager, %llu "
		"full\n"
		"advise calls     = %20llu in %llu ns\n"
		"refault bytes    = %20llu, touched %llu\n"
		"regret bytes     = %20llu released, %llu held\n"
		"break-even       = %20llu ns\n"
		"background CPU   = %20llu ns\n"
		"huge pages       = %20llu bytes, %llu broken, %llu filled again\n"
		"lock waits       = %20llu in %llu ns, at most %llu ns\n",
		COUNT(stats.mapped_bytes), COUNT(stats.in_use_bytes), COUNT(stats.free_slot_bytes),
		COUNT(stats.idle_dirty_bytes), COUNT(stats.lazy_bytes), COUNT(stats.clean_bytes),
		COUNT(stats.metadata_bytes), COUNT(stats.peak_in_use_bytes),
		COUNT(stats.large_blocks), COUNT(stats.large_bytes),
		COUNT(stats.released_background_bytes), COUNT(stats.released_growth_bytes),
		COUNT(stats.released_lazy_bytes), COUNT(stats.released_eager_bytes),
		COUNT(stats.released_full_bytes), COUNT(stats.advise_calls), COUNT(stats.advise_ns),
		COUNT(stats.refault_bytes), COUNT(stats.refault_touched_bytes),
		COUNT(stats.regret_release_bytes), COUNT(stats.regret_hold_bytes),
		COUNT(stats.break_even_ns), COUNT(stats.background_cpu_ns), COUNT(stats.huge_bytes),
		COUNT(stats.huge_broken), COUNT(stats.huge_filled), COUNT(stats.lock_waits),
		COUNT(stats.lock_wait_ns), COUNT(stats.lock_wait_max_ns));
	fputs(text, stderr);
}

/* Each with a blank before it. */
static void attributes_write(char *text, size_t bytes, const struct heap_stats *stats)
{
#define ATTRIBUTE(name, kind, attribute) {attribute, stats->name},
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {FIGURES_OF_HEAP(ATTRIBUTE)};
#undef ATTRIBUTE
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof figures / sizeof figures[0] && length < bytes; i++)
		if (figures[i].name != NULL)
			length += (size_t)snprintf(text + length, bytes - length, " %s=\"%llu\"",
				figures[i].name, COUNT(figures[i].value));
}

EXPORT int malloc_info(int options, FILE *fp)
{
	char text[STATS_TEXT_BYTES];
	char attributes[STATS_TEXT_BYTES / 2];
	struct heap_stats stats;
	struct mallinfo2 info;

	if (options != 0)
		return EINVAL;
	heap_stats_read(&stats);
	info = mallinfo2();
	attributes_write(attributes, sizeof attributes, &stats);
	snprintf(text, sizeof text,
		"<malloc version=\"1\">\n"
		"<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%llu\"/>\n"
		"<aspace type=\"total\" size=\"%llu\"/>\n"
		"<spillway%s/>\n"
		"</malloc>\n",
		info.fordblks, info.hblks, info.hblkhd,
		COUNT(stats.mapped_bytes - stats.clean_bytes), COUNT(stats.mapped_bytes),
		attributes);
	return fputs(text, fp) < 0 ? -1 : 0;
}
