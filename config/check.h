#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/config.h"
#include "config/errors.h"
#include "config/keys.h"

/*
 * Rules across keys.  What differs in unit or kind (64M and 10%; some and full)
 * is not compared, and what is off takes no part.
 *
 *   headroom, time to wall   lazy >= eager >= full
 *   pressure                 a level must not be reached only when the next one
 *                            already is, for thresholds of one kind
 *   pressure windows         500 ms to 10 s, which is what the kernel has
 *   reserve, brake           <= eager_headroom, so that heaps are asked first
 *   brake_hold               not 0 where there is a brake
 *   memory_high              <= memory_max
 *   memory_min, memory_low   <= memory_max
 *
 * Each error stands at the later of the two lines.  Sections with an unreadable
 * value are left out.
 */
void check_config(const struct config *config, const struct config_lines *lines,
	struct config_errors *errors);

#endif
