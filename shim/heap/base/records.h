#ifndef SHIM_HEAP_BASE_RECORDS_H
#define SHIM_HEAP_BASE_RECORDS_H

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Small records, of one to four units of 128 bytes: the spans.
 *
 * A GiB of small blocks has some 8 MiB of them, so their memory goes back to the
 * kernel like the blocks' own: nothing is written into free records, a record lies
 * within one page, and the lowest page that has room serves first, so that the others
 * run empty.  A page of which all units are free is idle, and can be given back.
 *
 * Pages are in areas, which are aligned to their largest size, so that a record's
 * address tells its area.  An area's bits are in its first page, which stays.  Areas
 * are numbered as they come; the first is small and each has twice the pages of the
 * last, up to AREA_PAGES_MAX.
 *
 * All of it under the lock of meta.c.
 */

#define RECORD_UNIT ((size_t)128)
#define RECORD_UNITS_MAX 4U
#define AREA_PAGES_MAX ((size_t)256)

/* NULL: memory is out.  1 to RECORD_UNITS_MAX units. */
void *records_take_locked(size_t units);
void records_put_locked(void *record, size_t units);

/* Pages that records were cut out of and that did not go back since; and those of them that are
 * idle. */
size_t records_pages_locked(void);
size_t records_idle_locked(void);

/*
 * Up to OS_RANGES_MAX ranges of idle pages, highest areas first, `most` pages in all;
 * 0: there are none.  Nobody takes records of them until records_hunt_end_locked has
 * them again, gone or as they were.
 */
size_t records_hunt_locked(struct os_range *ranges, size_t most);
void records_hunt_end_locked(const struct os_range *ranges, size_t count, bool gone);

/* NULL = all invariants hold, else what does not. */
const char *records_check_locked(void);

#endif
