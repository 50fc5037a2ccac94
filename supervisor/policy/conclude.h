#ifndef SUPERVISOR_POLICY_CONCLUDE_H
#define SUPERVISOR_POLICY_CONCLUDE_H

#include "supervisor/policy/turn.h"

/*
 * Applies shortage.h to every wall of one step: after the releases were asked for, since it needs
 * to know which of them are out.  Adds an ACTION_CONCLUDE for a conclusion that is new, and sets
 * how long the heaps of each service may wait at the gate.  What was concluded changes the credit
 * of the next step, which follows at once.
 */
void conclude_step(struct turn *turn);

#endif
