/* The level in force, and who is told of it. */
#include "shim/level.h"

#include "shim/heap/base/os.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/limit.h"
#include "shim/link.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

_Static_assert((int)SPILLWAY_CALM == (int)HEAP_CALM && (int)SPILLWAY_LAZY == (int)HEAP_LAZY &&
		       (int)SPILLWAY_EAGER == (int)HEAP_EAGER &&
		       (int)SPILLWAY_FULL == (int)HEAP_FULL && (int)LINK_CALM == (int)HEAP_CALM &&
		       (int)LINK_FULL == (int)HEAP_FULL,
	"levels have the same numbers everywhere");

enum row_state { ROW_FREE, ROW_WRITTEN, ROW_LIVE, ROW_ENDING };

/* Words count the times that the row was taken, so that a row seen is a row known. */
#define ROW_STATE 3U
#define ROW_TAKEN 4U

static struct row {
	_Atomic uint32_t word; /* count * ROW_TAKEN + enum row_state */
	void (*_Atomic changed)(enum spillway_level level, void *with);
	void *_Atomic with;
} rows[SPILLWAY_SUBSCRIBERS];

static _Atomic uint32_t own_floor;
static _Atomic uint64_t pressure_until_ns;

/* The row that is called right now, and 1; 0: none. */
static _Atomic uint32_t calling;
static __thread bool is_caller;
static enum heap_level told;

enum heap_level level_in_force(uint64_t now_ns)
{
	uint32_t level = (uint32_t)link_level(now_ns);
	uint32_t floor = atomic_load_explicit(&own_floor, memory_order_relaxed);

	if (level < (uint32_t)limit_level())
		level = (uint32_t)limit_level();
	if (level < floor)
		level = floor;
	if (level < HEAP_EAGER &&
		now_ns < atomic_load_explicit(&pressure_until_ns, memory_order_relaxed))
		level = HEAP_EAGER;
	return (enum heap_level)level;
}

enum heap_level level_floor_set(enum heap_level level)
{
	return (enum heap_level)atomic_exchange(&own_floor, (uint32_t)level);
}

void level_pressure_note(uint64_t now_ns)
{
	atomic_store(&pressure_until_ns, now_ns + LEVEL_PRESSURE_NS);
}

static bool row_change(struct row *row, uint32_t word, enum row_state to)
{
	uint32_t after = (word & ~ROW_STATE) + (uint32_t)to;

	if (to == ROW_WRITTEN)
		after += ROW_TAKEN;
	return atomic_compare_exchange_strong(&row->word, &word, after);
}

int level_subscribe(void (*changed)(enum spillway_level level, void *with), void *with)
{
	for (struct row *row = rows; row < rows + SPILLWAY_SUBSCRIBERS; row++) {
		uint32_t word = atomic_load(&row->word);

		if ((word & ROW_STATE) != ROW_FREE || !row_change(row, word, ROW_WRITTEN))
			continue;
		atomic_store(&row->changed, changed);
		atomic_store(&row->with, with);
		row_change(row, atomic_load(&row->word), ROW_LIVE);
		return 0;
	}
	return -ENOSPC;
}

/* Marks a live row of the pair; NULL: there is none. */
static struct row *row_end(void (*changed)(enum spillway_level level, void *with), const void *with)
{
	for (struct row *row = rows; row < rows + SPILLWAY_SUBSCRIBERS; row++) {
		uint32_t word = atomic_load(&row->word);

		if ((word & ROW_STATE) == ROW_LIVE && atomic_load(&row->changed) == changed &&
			atomic_load(&row->with) == with && row_change(row, word, ROW_ENDING))
			return row;
	}
	return NULL;
}

int level_unsubscribe(void (*changed)(enum spillway_level level, void *with), void *with)
{
	struct row *row = row_end(changed, with);
	uint32_t at;

	if (row == NULL)
		return -ENOENT;
	at = (uint32_t)(row - rows) + 1;
	while (!is_caller && atomic_load(&calling) == at)
		os_wait((const uint32_t *)&calling, at, UINT64_MAX);
	row_change(row, atomic_load(&row->word), ROW_FREE);
	return 0;
}

static bool row_is_live(struct row *row)
{
	return (atomic_load(&row->word) & ROW_STATE) == ROW_LIVE;
}

static void row_call(struct row *row, enum spillway_level level)
{
	void (*changed)(enum spillway_level level, void *with);

	if (!row_is_live(row))
		return;
	atomic_store(&calling, (uint32_t)(row - rows) + 1);
	if (row_is_live(row)) {
		changed = atomic_load(&row->changed);
		changed(level, atomic_load(&row->with));
	}
	/* Not after all of them: who waits may hold what the next one needs. */
	atomic_store(&calling, 0);
	os_wake((const uint32_t *)&calling, UINT32_MAX);
}

void level_tell(uint64_t now_ns)
{
	enum heap_level level = level_in_force(now_ns);

	if (level == told)
		return;
	told = level;
	is_caller = true;
	for (struct row *row = rows; row < rows + SPILLWAY_SUBSCRIBERS; row++)
		row_call(row, (enum spillway_level)level);
	is_caller = false;
}

void level_fork_child(void)
{
	atomic_store(&calling, 0);
}
