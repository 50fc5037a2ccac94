#ifndef SUPERVISOR_FLEET_SERVICE_HEALTH_H
#define SUPERVISOR_FLEET_SERVICE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Checks whether a service that is ready is of use: health_interval after it was, and after each
 * check.  When health_retries of them have failed one after another, for what may be before
 * health_start is over not counted, the service has failed.
 *
 * A service is not judged while memory is what makes it slow: a check during which it is braked or
 * frozen does not count, and the checks begin anew after that.
 */

#define HEALTH_NEVER UINT64_MAX

struct service;
struct service_host;

struct health {
	uint64_t next_ms; /* when the next check is due */
	int failures;     /* one after another */
	bool is_spoiled;  /* it was slowed during the check that is under way */
};

void health_init(struct health *health);

/* It is under a brake, or frozen. */
bool service_is_slowed(const struct service *service);

/* Does what is due.  false: it has failed, which was said. */
bool health_step(struct service *service, const struct service_host *host, uint64_t now_ms);
uint64_t health_deadline_ms(const struct service *service);

#endif
