/* The public interface, spillway.h. */
#include "shim/spillway.h"

#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/level.h"
#include "shim/scavenger.h"
#include "shim/settings.h"
#include "shim/trim.h"
#include "shim/worker.h"

#include <errno.h>
#include <string.h>

/* The first version's struct, and what none will exceed, whatever is added. */
#define STATS_BYTES_MIN ((size_t)21 * 8 + (size_t)4 * 4)
/* The list's figures, price_ns, and four of 32 bits. */
#define STATS_BYTES (FIGURES_BYTES(FIGURES_PUBLIC) + 8 + (size_t)4 * 4)
#define STATS_BYTES_MAX 4096U

_Static_assert((int)SPILLWAY_DECAY == (int)HEAP_DECAY && (int)SPILLWAY_OFF == (int)HEAP_OFF &&
		       (int)SPILLWAY_GO1_13 == (int)HEAP_GO1_13,
	"policies have the heap's numbers");
_Static_assert(offsetof(struct spillway_stats, policy) + 4 == STATS_BYTES_MIN,
	"what the first version has stays where it is");
_Static_assert(sizeof(struct spillway_stats) == STATS_BYTES, "it has the figures of the list");

int spillway_stats(struct spillway_stats *stats, size_t bytes)
{
	struct heap_stats heap;
	struct heap_tuning tuning;
	struct spillway_stats filled;

	if (stats == NULL || bytes < STATS_BYTES_MIN || bytes > STATS_BYTES_MAX)
		return -EINVAL;
	heap_stats_read(&heap);
	settings_read(&tuning);
	filled = (struct spillway_stats){
		.price_ns = tuning.price_ns,
		.cpu_permille = tuning.cpu_permille,
		.dontneed_only = tuning.dontneed_only,
		.level = (uint32_t)level_in_force(os_now_ns()),
		.policy = (uint32_t)tuning.policy,
	};
#define COPY(name, kind, attribute) filled.name = heap.name;
	FIGURES_PUBLIC(COPY)
#undef COPY
	memset(stats, 0, bytes);
	memcpy(stats, &filled, bytes < sizeof filled ? bytes : sizeof filled);
	return 0;
}

size_t spillway_free_os_memory(void)
{
	return trim_full(0);
}

int spillway_set_level(enum spillway_level level)
{
	enum heap_level before;

	if ((uint32_t)level >= HEAP_LEVELS)
		return -EINVAL;
	before = level_floor_set((enum heap_level)level);
	if ((enum heap_level)level > before)
		scavenger_ask((enum heap_level)level);
	if ((enum heap_level)level != before)
		worker_summon();
	return 0;
}

int spillway_subscribe(void (*changed)(enum spillway_level level, void *with), void *with)
{
	int error;

	if (changed == NULL)
		return -EINVAL;
	error = level_subscribe(changed, with);
	if (error == 0)
		worker_summon();
	return error;
}

int spillway_unsubscribe(void (*changed)(enum spillway_level level, void *with), void *with)
{
	return level_unsubscribe(changed, with);
}
