#ifndef SUPERVISOR_FLEET_FLEET_ORDER_H
#define SUPERVISOR_FLEET_FLEET_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Which services may start and stop, by what they need (config/order.h).  Two flags of a service
 * say what is asked of it, and fleet_order_step() does it as soon as it may:
 *
 *   wanted   to be started when all that it needs allows it
 *   ends     to be stopped when nothing that needs it is about to stop as well
 *
 * With both it is down in between.
 *
 *   what it is only after   must be ready, or have ended, failed, or not be wanted
 *   what it requires        must be ready, or have ended as expected
 *
 * A service is up only while all that it requires is: when one of these is stopped by hand, by the
 * last resort or by a reload, or has failed for good, the service ends, and stays wanted.  So it is
 * started again together with that one.  A crash that is followed by a restart disturbs nobody.
 *
 * A service that is wanted and cannot start, as something that it requires is down for good, lacks
 * it: nobody waits for such a service, and the supervisor may end.
 *
 * When everything stops, services of a higher turn are stopped before those of a lower one.
 */

struct fleet;
struct service;

/* It is to be up, and also all that it requires.  By hand: what was stopped is asked for again. */
void fleet_order_start(struct fleet *fleet, struct service *service, uint64_t now_ms);

/* Down, then up. */
void fleet_order_restart(struct fleet *fleet, struct service *service, uint64_t now_ms);

/* Down, for good. */
void fleet_order_stop(struct service *service);

/* Starts and stops what may be. */
void fleet_order_step(struct fleet *fleet, uint64_t now_ms);

/* Whether each service is up, or has ended, failed or is not wanted, as for what is after it. */
bool fleet_order_is_settled(const struct fleet *fleet);

/* The first that keeps a wanted service from starting; NULL = none. */
const struct service *fleet_order_awaited(const struct fleet *fleet, const struct service *service);

#endif
