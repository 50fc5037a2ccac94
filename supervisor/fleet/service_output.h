#ifndef SUPERVISOR_FLEET_SERVICE_OUTPUT_H
#define SUPERVISOR_FLEET_SERVICE_OUTPUT_H

#include <stdbool.h>

#include "config/config.h"

/*
 * Where a service's stdout and stderr go, as its settings have it: to ours, nowhere, or by a pipe
 * into a file (base/output.h).
 */

struct service;

/* For a start: what spawn's output is.  Where a pipe cannot be had it is ours, which is said. */
void service_output_open(struct service *service, bool survives, int output[CONFIG_STREAMS]);

/* Its process was taken over: its pipes are read on. */
void service_output_adopt(struct service *service);

/* After a reload: the files of a process that runs on. */
void service_output_renew(struct service *service);

/* What is still in the pipes is written. */
void service_output_close(struct service *service);

/* Where a stream goes, as a path that can be read or compared: of a file, "/dev/stdout",
 * "/dev/stderr" (the supervisor's), or "NONE". */
const char *service_output_path(const struct config_service *config, enum config_stream stream);

/* Whether a process that was started with a can go on with b. */
bool service_output_same(const struct config_service *a, const struct config_service *b);

#endif
