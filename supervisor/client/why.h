#ifndef SUPERVISOR_CLIENT_WHY_H
#define SUPERVISOR_CLIENT_WHY_H

#include "supervisor/client/request.h"

/* `spillctl why POD|CGROUP|PID|SERVICE`: three lines on why it was killed, or nearly was.  0: it is
 * explained, 1: nothing is known, 2: usage.  A supervisor is asked only for a service's name. */
int why_command(struct request *request);

#endif
