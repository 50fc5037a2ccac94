#ifndef SUPERVISOR_POLICY_RECLAIM_WALLS_H
#define SUPERVISOR_POLICY_RECLAIM_WALLS_H

#include "supervisor/policy/turn.h"

/* Applies reclaim.h to every wall of one step, after the releases were asked for.  Adds at most one
 * ACTION_RECLAIM, since one is under way at a time: services' own walls come before the shared one.
 */
void reclaim_walls_step(struct turn *turn);

#endif
