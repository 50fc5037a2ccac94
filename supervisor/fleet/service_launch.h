#ifndef SUPERVISOR_FLEET_SERVICE_LAUNCH_H
#define SUPERVISOR_FLEET_SERVICE_LAUNCH_H

#include "supervisor/fleet/service.h"

/* Whom a process of the service runs as, and with which environment. */
struct service_identity {
	struct environment environment;
	struct account account;
	bool has_account;
};

/* 0 or -errno; to be given up in both cases. */
int service_identity_init(struct service_identity *identity, const struct config_service *config);
void service_identity_fini(struct service_identity *identity);

/* For service.c: starts the main process.  0, or -errno, which has been logged. */
int service_launch(struct service *service, const struct service_host *host, uint64_t now_ms);

/* Says that the program runs, unless that was said. */
void service_tell_start(struct service *service);

/* Looks whether it does, when told_ms has come. */
void service_look_for_start(struct service *service, uint64_t now_ms);

/* Looks whether the process has shown up in the link, when shim_check_ms has come. */
void service_look_for_shim(struct service *service, uint64_t now_ms);

#endif
