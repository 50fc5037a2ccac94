/* What there is to tell of the services, and of what they have in common. */
#include "supervisor/tick/tick_private.h"

#include <string.h>

void tick_counts(
	const struct tick *tick, const struct tick_service *service, struct tick_counts *counts)
{
	bool shared;
	*counts = (struct tick_counts){
		.limit_bytes = service->policy.sample.own.limit_bytes,
		.heap = service->sampler.totals,
		.oom_kills = service->oom_kills,
		.brakes = service->perform.brakes,
		.psi_wakes = service->psi_wakes,
		.events_wakes = service->events_wakes,
		.notifier_wakes = service->notifier_wakes,
		.usage_bytes = sampler_usage(tick->sampler, &service->sampler, &shared),
		.level = service->link != NULL ? link_level(service->link) : LEVEL_CALM,
	};
	counts->usage_shared = shared;
	memcpy(counts->releases, service->perform.releases, sizeof counts->releases);
}

void tick_shared(const struct tick *tick, struct tick_shared *shared)
{
	*shared = (struct tick_shared){
		.mode = (char)('A' + tick->mode.letter),
		.usage_bytes = tick->sample.shared.current_bytes,
		.limit_bytes = tick->sample.shared.limit_bytes,
	};
}
