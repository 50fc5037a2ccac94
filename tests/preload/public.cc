#include "shim/spillway.h"

#include <cstdlib>

/* spillway.h as C++ has it; the argument says whether the library is there. */
static int told;

static void on_level(spillway_level level, void *with)
{
	*static_cast<int *>(with) = level;
}

int main(int count, char **arguments)
{
	struct spillway_stats stats;
	int wanted = count == 2 ? std::atoi(arguments[1]) : -1;

	if (spillway_is_loaded() != wanted)
		return 1;
	if (spillway_subscribe == nullptr)
		return 0;
	if (spillway_stats(&stats, sizeof stats) != 0 || stats.policy > SPILLWAY_DECAY)
		return 1;
	if (spillway_subscribe(on_level, &told) != 0 || spillway_unsubscribe(on_level, &told) != 0)
		return 1;
	return spillway_set_level(SPILLWAY_CALM);
}
