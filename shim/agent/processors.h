#ifndef SHIM_AGENT_PROCESSORS_H
#define SHIM_AGENT_PROCESSORS_H

#include <stdint.h>

/* How many CPUs the process may use: those of its mask, and no more than cpu.max of its cgroup and
 * those above it allow, rounded up (cgroup v2).  0: it is not
 * known. */
uint32_t processors_count(void);

/* The CPUs of one line of cpu.max, rounded up, at least 1; UINT32_MAX: no limit, or no such line.
 */
uint32_t processors_parse(const char *text);

#endif
