#ifndef SUPERVISOR_CLIENT_WHY_GATHER_H
#define SUPERVISOR_CLIENT_WHY_GATHER_H

#include "supervisor/client/why_facts.h"

/* Collects the facts on a cgroup; path "" where it is gone, and only text, a part of its path, is
 * known.  *log_error: 0 or -errno of reading the kernel's log. */
void why_gather(const char *path, const char *text, struct why_facts *facts, int *log_error);

#endif
