#ifndef SUPERVISOR_TICK_OOM_MOMENT_H
#define SUPERVISOR_TICK_OOM_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/policy.h"

/*
 * What memory was like at the last look before the kernel's OOM killer chose somebody, so that the
 * log can say why: who has to be given more, and who only had to give back.  After the kill the
 * numbers are those of what is left.
 */

#define OOM_MOMENT_TEXT 256

struct oom_moment {
	bool known;
	uint64_t at_ms;
	uint64_t limit_bytes; /* of the nearest wall; SAMPLE_NO_LIMIT = there was none */
	bool is_shared;       /* that is the wall of all services */
	uint64_t used_bytes;  /* behind it */
	uint64_t live_bytes;  /* of the heaps behind it, as are the next two */
	uint64_t idle_bytes;
	uint64_t lazy_bytes;
	uint64_t
		kernel_bytes; /* caches that the kernel takes back by itself, lazy pages left out */
	uint64_t bytes_per_s; /* the fastest growth behind it */
	size_t fastest;       /* whose that is, in the list of services; SIZE_MAX = nobody's */
};

/* As of a step that is over, behind the wall of all services. */
struct oom_moment oom_moment_shared(
	const struct policy_state *policy, const struct sample *sample, uint64_t now_ms);

/* Behind the service's own wall; not known where another one is nearer, or the only one. */
struct oom_moment oom_moment_own(
	const struct policy_service *service, const struct sample *sample, uint64_t now_ms);

/* ": used 95.8M of 96M (live 61M, ...)", and "" where nothing is known.  fastest: the name of that
 * service, NULL where it goes without saying. */
void oom_moment_format(const struct oom_moment *moment, const char *fastest, uint64_t now_ms,
	char text[OOM_MOMENT_TEXT]);

#endif
