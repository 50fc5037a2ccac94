#ifndef SUPERVISOR_FLEET_SERVICE_LAUNCH_H
#define SUPERVISOR_FLEET_SERVICE_LAUNCH_H

#include "supervisor/fleet/service.h"

/* For service.c: starts the main process.  0, or -errno, which has been logged. */
int service_launch(struct service *service, const struct service_host *host, uint64_t now_ms);

/* Looks whether the process has shown up in the link, when shim_check_ms has come. */
void service_look_for_shim(struct service *service, uint64_t now_ms);

#endif
