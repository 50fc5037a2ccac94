/* Keeps the heap's small records together by page; locking and larger ones are meta.c's. */

#include "shim/heap/base/records.h"

#include "shim/heap/base/bits.h"

#define AREA_BYTES_MAX (AREA_PAGES_MAX * PAGE_BYTES)
#define AREA_PAGES_FIRST ((size_t)16)
#define AREA_WORDS (AREA_PAGES_MAX / 64)
#define AREAS_MAX ((size_t)8192)

#define UNITS_PER_PAGE (PAGE_BYTES / RECORD_UNIT)
#define PAGE_FREE UINT32_MAX

_Static_assert(UNITS_PER_PAGE == 32, "a page's units are a word");

struct area {
	uint32_t number;
	uint32_t pages;
	uint32_t free[AREA_PAGES_MAX]; /* units, by page */
	/* Pages with so many free units in a row, less one. */
	uint64_t room[RECORD_UNITS_MAX][AREA_WORDS];
	uint64_t resident[AREA_WORDS]; /* taken from since they were fresh or went back */
	uint64_t idle[AREA_WORDS];     /* resident, and all free */
};

#define AREA_UNITS ((sizeof(struct area) + RECORD_UNIT - 1) / RECORD_UNIT)
_Static_assert(sizeof(struct area) < PAGE_BYTES, "an area's bits are in its first page");

static struct {
	struct area *areas[AREAS_MAX];
	size_t count;
	size_t last_pages;
	uint64_t room[RECORD_UNITS_MAX][AREAS_MAX / 64]; /* areas that have such pages */
	uint64_t idle[AREAS_MAX / 64];
	size_t pages;
	size_t idle_pages;
} records;

/* Bits ------------------------------------------------------------------------ */

static void bit_set(uint64_t *words, size_t bit, bool value)
{
	uint64_t mask = (uint64_t)1 << bit % 64;

	words[bit / 64] = value ? words[bit / 64] | mask : words[bit / 64] & ~mask;
}

static bool bit_has(const uint64_t *words, size_t bit)
{
	return (words[bit / 64] >> bit % 64 & 1) != 0;
}

static bool any_bit(const uint64_t *words)
{
	uint64_t any = 0;

	for (size_t i = 0; i < AREA_WORDS; i++)
		any |= words[i];
	return any != 0;
}

/* The units at which so many free ones begin. */
static uint32_t starts_of(uint32_t free, size_t units)
{
	uint32_t starts = free;

	for (size_t i = 1; i < units; i++)
		starts &= free >> i;
	return starts;
}

/* A page has these free units now; whether it is resident is up to date. */
static void page_update(struct area *area, size_t page, uint32_t free)
{
	bool idle = free == PAGE_FREE && bit_has(area->resident, page);

	area->free[page] = free;
	for (size_t units = 1; units <= RECORD_UNITS_MAX; units++) {
		uint64_t *room = area->room[units - 1];

		bit_set(room, page, starts_of(free, units) != 0);
		bit_set(records.room[units - 1], area->number, any_bit(room));
	}
	if (idle == bit_has(area->idle, page))
		return;
	records.idle_pages += idle ? 1 : (size_t)-1;
	bit_set(area->idle, page, idle);
	bit_set(records.idle, area->number, any_bit(area->idle));
}

static void page_set_resident(struct area *area, size_t page, bool resident)
{
	if (resident == bit_has(area->resident, page))
		return;
	bit_set(area->resident, page, resident);
	records.pages += resident ? 1 : (size_t)-1;
}

/* Areas ------------------------------------------------------------------------- */

static struct area *area_map(size_t pages)
{
	struct area *area = os_reserve(pages * PAGE_BYTES, AREA_BYTES_MAX);

	if (area == NULL)
		return NULL;
	if (os_commit(area, pages * PAGE_BYTES) == 0)
		return area;
	os_unreserve(area, pages * PAGE_BYTES);
	return NULL;
}

static bool area_new(void)
{
	size_t pages = records.last_pages * 2;
	struct area *area;

	if (pages < AREA_PAGES_FIRST)
		pages = AREA_PAGES_FIRST;
	if (pages > AREA_PAGES_MAX)
		pages = AREA_PAGES_MAX;
	if (records.count == AREAS_MAX)
		return false;
	area = area_map(pages);
	if (area == NULL && pages > AREA_PAGES_FIRST) {
		pages = AREA_PAGES_FIRST;
		area = area_map(pages);
	}
	if (area == NULL)
		return false;
	records.last_pages = pages;
	area->number = (uint32_t)records.count;
	area->pages = (uint32_t)pages;
	records.areas[records.count++] = area;
	page_set_resident(area, 0, true);
	page_update(area, 0, PAGE_FREE << AREA_UNITS);
	for (size_t page = 1; page < pages; page++)
		page_update(area, page, PAGE_FREE);
	return true;
}

static struct area *area_of(const void *record)
{
	return (struct area *)((uintptr_t)record & ~(AREA_BYTES_MAX - 1));
}

static size_t page_of(const struct area *area, const void *address)
{
	return ((uintptr_t)address - (uintptr_t)area) >> PAGE_SHIFT;
}

/* Records ------------------------------------------------------------------------ */

void *records_take_locked(size_t units)
{
	size_t number = bits_next(records.room[units - 1], 0, records.count, true);
	struct area *area;
	size_t page;
	size_t unit;

	if (number == records.count && !area_new())
		return NULL;
	area = records.areas[number];
	page = bits_next(area->room[units - 1], 0, area->pages, true);
	unit = bits_lowest(starts_of(area->free[page], units));
	page_set_resident(area, page, true);
	page_update(area, page, area->free[page] & ~(uint32_t)bits_mask(unit, unit + units));
	return (unsigned char *)area + page * PAGE_BYTES + unit * RECORD_UNIT;
}

void records_put_locked(void *record, size_t units)
{
	struct area *area = area_of(record);
	size_t page = page_of(area, record);
	size_t unit = (uintptr_t)record % PAGE_BYTES / RECORD_UNIT;

	page_update(area, page, area->free[page] | (uint32_t)bits_mask(unit, unit + units));
}

size_t records_pages_locked(void)
{
	return records.pages;
}

size_t records_idle_locked(void)
{
	return records.idle_pages;
}

/* Giving back --------------------------------------------------------------------- */

/* The idle pages of an area, runs of them from the top. */
static size_t area_hunt(struct area *area, struct os_range *ranges, size_t count, size_t *most)
{
	size_t first;
	size_t end;

	while (count < OS_RANGES_MAX && *most != 0 &&
		bits_last_run(area->idle, area->pages, &first, &end)) {
		if (end - first > *most)
			first = end - *most;
		*most -= end - first;
		for (size_t page = first; page < end; page++)
			page_update(area, page, 0);
		ranges[count++] = (struct os_range){
			.start = (unsigned char *)area + first * PAGE_BYTES,
			.bytes = (end - first) * PAGE_BYTES,
		};
	}
	return count;
}

size_t records_hunt_locked(struct os_range *ranges, size_t most)
{
	size_t below = records.count;
	size_t count = 0;
	size_t first;
	size_t end;

	while (count < OS_RANGES_MAX && most != 0 &&
		bits_last_run(records.idle, below, &first, &end)) {
		below = end - 1;
		count = area_hunt(records.areas[below], ranges, count, &most);
	}
	return count;
}

void records_hunt_end_locked(const struct os_range *ranges, size_t count, bool gone)
{
	for (size_t i = 0; i < count; i++) {
		struct area *area = area_of(ranges[i].start);
		size_t page = page_of(area, ranges[i].start);

		for (size_t end = page + ranges[i].bytes / PAGE_BYTES; page < end; page++) {
			if (gone)
				page_set_resident(area, page, false);
			page_update(area, page, PAGE_FREE);
		}
	}
}

/* Checking -------------------------------------------------------------------------- */

static const char *area_check(const struct area *area, size_t *pages, size_t *idle)
{
	for (size_t page = 0; page < area->pages; page++) {
		bool resident = bit_has(area->resident, page);

		for (size_t units = 1; units <= RECORD_UNITS_MAX; units++)
			if (bit_has(area->room[units - 1], page) !=
				(starts_of(area->free[page], units) != 0))
				return "a page of records has other room than its area says";
		if (!resident && area->free[page] != PAGE_FREE)
			return "records were taken of a page that is not resident";
		if (bit_has(area->idle, page) != (resident && area->free[page] == PAGE_FREE))
			return "a page of records is not known to be idle";
		*pages += resident;
		*idle += bit_has(area->idle, page);
	}
	return NULL;
}

const char *records_check_locked(void)
{
	size_t pages = 0;
	size_t idle = 0;

	for (size_t i = 0; i < records.count; i++) {
		const char *wrong = area_check(records.areas[i], &pages, &idle);

		if (wrong != NULL)
			return wrong;
		if (bit_has(records.idle, i) != any_bit(records.areas[i]->idle))
			return "an area of records is not known to have idle pages";
	}
	if (pages != records.pages || idle != records.idle_pages)
		return "the counters of pages of records differ from the bits";
	return NULL;
}
