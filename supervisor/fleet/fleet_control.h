#ifndef SUPERVISOR_FLEET_FLEET_CONTROL_H
#define SUPERVISOR_FLEET_FLEET_CONTROL_H

#include <stdint.h>

#include <jansson.h>

/*
 * What can be asked over the control socket (control/control.h), by path:
 *
 *   GET  /v1/status                    {supervisor: {...}, services: [...]}
 *   GET  /v1/services/NAME             one of these
 *   GET  /metrics                      for Prometheus
 *   GET  /v1/events                    a stream, one object a line: time, level, service, text
 *   POST /v1/reload                    reads the file; 409 with the errors, and nothing changed
 *   POST /v1/release                   of every service    {level, target_bytes, wait}
 *   POST /v1/services/NAME/release     of one
 *   POST /v1/services/NAME/start       {wait}: and what it requires
 *   POST /v1/services/NAME/stop        {wait}: by its stop signal; it stays down until it is asked
 *                                      for, over reloads too
 *   POST /v1/services/NAME/restart     {wait}
 *   POST /v1/services/NAME/signal      {signal}: to its main process
 *   POST /v1/services/NAME/limit       {memory_max}: a size, a share or "off", until the next
 * reload
 *
 * wait, true unless it is given as false, holds the answer back until what was asked for has come
 * about, or can no longer: a service is down, or up for FLEET_CONTROL_UP_MS, or has given back.
 *
 * 404: no such service or path.  405: another method.  400: a wrong body.  409: what is asked for
 * cannot be now, such as a signal to what does not run.
 *
 * At the address that "metrics" names, where everybody may ask, there are GET /metrics and GET /, a
 * page that shows the same in a browser, and nothing else.
 *
 * The state of a service is supervisord's name of it, or WAITING while what waits_for names keeps
 * it from starting.  ready says whether it is up (service_ready.h); status_text, reloading and
 * stopping are what it has told; health_failures is how many checks have failed one after another.
 *
 * A stopped service does not count as one that has ended: the supervisor stays.
 */

#define FLEET_CONTROL_UP_MS 1000U

struct control;
struct fleet;
struct fleet_control;

/* 0 or -errno. */
int fleet_control_open(struct fleet *fleet, const char *path, struct fleet_control **control);
void fleet_control_close(struct fleet_control *control);

/* For whoever reaches the address (control_open_public).  0 or -errno. */
int fleet_control_open_metrics(struct fleet *fleet, const char *address, struct control **control);

/* Answers those who have waited long enough. */
void fleet_control_step(struct fleet_control *control, uint64_t now_ms);
uint64_t fleet_control_deadline_ms(const struct fleet_control *control);

/* fleet_status.c: a service, and all of them with what they have in common.  NULL = no memory. */
struct service;
json_t *fleet_status_service(
	const struct fleet *fleet, const struct service *service, uint64_t now_ms);
json_t *fleet_status(const struct fleet *fleet, uint64_t now_ms);

/* fleet_metrics.c: Prometheus' text format, in base units.  The caller frees it; NULL = no memory.
 */
char *fleet_metrics(const struct fleet *fleet);

/* fleet_dashboard.c: a page of HTML that reads these every second and draws them. */
extern const char fleet_dashboard[];

#endif
