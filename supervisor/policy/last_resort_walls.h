#ifndef SUPERVISOR_POLICY_LAST_RESORT_WALLS_H
#define SUPERVISOR_POLICY_LAST_RESORT_WALLS_H

#include "supervisor/policy/turn.h"

/*
 * Applies last_resort.h to every wall of one step, after the brakes, and names the service.  Adds
 * at most one ACTION_END for each wall.
 *
 * Of the services behind the wall that may be ended (policy_service.may_end):
 *   1. those with the lowest memory_priority;
 *   2. of these the one that uses most beyond what it was promised (promised_bytes, memory_low);
 *   3. of equals the last in the list, which the others do not count on.
 *
 * Below its own wall a service can only end itself.
 */
void last_resort_walls_step(struct turn *turn);

#endif
