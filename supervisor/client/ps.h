#ifndef SUPERVISOR_CLIENT_PS_H
#define SUPERVISOR_CLIENT_PS_H

#include "supervisor/client/request.h"

/* `spillctl ps`: the preloaded processes of this machine as a table, as JSON, or as text for
 * Prometheus.  No supervisor is asked. */
int ps_command(struct request *request);

#endif
