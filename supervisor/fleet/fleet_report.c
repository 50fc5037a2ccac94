/* What became of the services' idle memory, told at the very end. */
#include "supervisor/fleet/fleet_private.h"

#include "supervisor/base/log.h"
#include "supervisor/base/size.h"

/* What became of a service's idle memory in its whole life, where anything did. */
static void report(const char *name, const struct tick_counts *counts)
{
	const struct link_figures *figures = &counts->heap.figures;
	const uint64_t *asked = counts->releases;
	if (asked[LEVEL_LAZY] + asked[LEVEL_EAGER] + asked[LEVEL_FULL] + figures->gate_waits == 0 &&
		counts->heap.heap.released_bytes == 0)
		return;
	log_info("%s: in all: returned %s in the background, %s for growth, %s at lazy, %s at "
		 "eager, %s at full; asked %llu, %llu, %llu times; a page costs %lluns; %s wanted "
		 "again (%s touched), %s of it too soon; %s kept too long; %llums of CPU in the "
		 "background; %llu gate "
		 "waits, %llu of them in vain; %llu brakes; %llu OOM kills",
		name, size_text(figures->released_background_bytes).text,
		size_text(figures->released_growth_bytes).text,
		size_text(figures->released_lazy_bytes).text,
		size_text(figures->released_eager_bytes).text,
		size_text(figures->released_full_bytes).text, (unsigned long long)asked[LEVEL_LAZY],
		(unsigned long long)asked[LEVEL_EAGER], (unsigned long long)asked[LEVEL_FULL],
		(unsigned long long)counts->heap.heap.page_ns,
		size_text(figures->refault_bytes).text,
		size_text(figures->refault_touched_bytes).text,
		size_text(figures->regret_release_bytes).text,
		size_text(figures->regret_hold_bytes).text,
		(unsigned long long)(figures->background_cpu_ns / 1000000),
		(unsigned long long)figures->gate_waits, (unsigned long long)figures->gate_timeouts,
		(unsigned long long)counts->brakes, (unsigned long long)counts->oom_kills);
}

/* What would have helped one that was killed or near it. */
static void advise(const struct service *service, const struct tick_counts *counts)
{
	const char *advice = service_runtime_advice(service);
	if (advice != NULL && (counts->oom_kills > 0 || counts->level_ms[LEVEL_FULL] > 0))
		log_info("%s: was at full for %llums, with %llu OOM kills: %s",
			service->config->name, (unsigned long long)counts->level_ms[LEVEL_FULL],
			(unsigned long long)counts->oom_kills, advice);
}

void fleet_report(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct tick_counts counts;
		tick_counts(fleet->host.tick, &fleet->service[i]->memory, &counts);
		report(fleet->service[i]->config->name, &counts);
		advise(fleet->service[i], &counts);
	}
}
