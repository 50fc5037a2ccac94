#ifndef SUPERVISOR_POLICY_FREEZE_WALLS_H
#define SUPERVISOR_POLICY_FREEZE_WALLS_H

#include "supervisor/policy/turn.h"

/*
 * Applies freeze.h below the shared wall, after the releases and before the brakes.
 *
 * The service in need is the one with the highest memory_priority of those that grow or wait at the
 * gate.  When headroom is below its full threshold, or somebody waits at the gate in vain, and a
 * release or the kernel's reclaim is under way, these are frozen: services that may be
 * (policy_service.freeze_ms), have a lower memory_priority than the one in need, and grow.  One
 * that is to give something back itself is not, nor one that is told to end.
 *
 * A frozen service is asked for nothing, and what it holds does not count as what could be had.
 */
void freeze_walls_step(struct turn *turn);

#endif
