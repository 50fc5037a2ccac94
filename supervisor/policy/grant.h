#ifndef SUPERVISOR_POLICY_GRANT_H
#define SUPERVISOR_POLICY_GRANT_H

#include "supervisor/policy/turn.h"

/*
 * Credit for every service of one step: what own and shared wall can give,
 * less reserve and pending, shared out by credit.h's rules.  Notes in the turn who
 * waits at the gate and could not be served.
 */
void grant_step(struct turn *turn);

#endif
