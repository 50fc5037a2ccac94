#ifndef SUPERVISOR_CLIENT_LOGS_COMMAND_H
#define SUPERVISOR_CLIENT_LOGS_COMMAND_H

#include "supervisor/client/request.h"

/*
 * spillctl logs SERVICE [stdout|stderr]: without a stream every one that has a file, the service's
 * stdout to ours and its stderr to ours.  A service that writes to the supervisor's own has none:
 * nothing is kept of it, since it writes there without a detour through us; that is said.  The exit
 * code.
 */
int logs_command(struct request *request);

#endif
