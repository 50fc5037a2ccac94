/* What there is to tell of the services, and of what they have in common. */
#include "supervisor/tick/tick_private.h"

#include <string.h>

#include "supervisor/policy/fraction.h"

static enum level level_of(const struct tick_service *service)
{
	return service->link != NULL ? link_level(service->link) : LEVEL_CALM;
}

void tick_counts_levels(struct tick *tick, uint64_t now_ms)
{
	uint64_t since_ms =
		tick->turn_ms != 0 && now_ms > tick->turn_ms ? now_ms - tick->turn_ms : 0;
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->running)
			tick->service[i]->level_ms[level_of(tick->service[i])] += since_ms;
	tick->turn_ms = now_ms;
}

uint64_t tick_turn_ms(const struct tick *tick)
{
	return tick->turn_ms;
}

void tick_counts_turn(struct tick *tick, uint64_t ns)
{
	tick->turns++;
	tick->turns_ns += ns;
	if (ns > tick->turns_most_ns)
		tick->turns_most_ns = ns;
}

static uint64_t lazy_bytes(const struct tick *tick)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < tick->count; i++)
		sum = fraction_plus(sum, tick->service[i]->sampler.totals.heap.lazy_bytes);
	return sum;
}

static struct tick_wall common_wall(const struct tick *tick, const struct wall_sample *sample)
{
	uint64_t lazy = lazy_bytes(tick);
	return (struct tick_wall){.headroom_bytes = wall_headroom_bytes(sample, lazy),
		.time_ms = wall_time_ms(&tick->policy.shared_growth, sample, lazy)};
}

static struct tick_wall own_wall(const struct tick_service *service)
{
	const struct wall *wall = &service->policy.turn.own;
	if (!wall->exists)
		return (struct tick_wall){UINT64_MAX, GROWTH_NEVER_MS};
	return (struct tick_wall){wall->headroom_bytes, wall->time_to_wall_ms};
}

/* Where the service has no cgroup of its own, a soft limit still makes its usage known. */
static uint64_t usage_of(const struct tick *tick, const struct tick_service *service, bool *shared)
{
	const struct wall_sample *own = &service->policy.sample.own;
	if (!service->sampler.has_leaf && own->limit_bytes != SAMPLE_NO_LIMIT) {
		*shared = false;
		return own->current_bytes;
	}
	return sampler_usage(tick->sampler, &service->sampler, shared);
}

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
		.usage_bytes = usage_of(tick, service, &shared),
		.level = level_of(service),
		.own = own_wall(service),
		.price_ns = service->policy.plan.price_ns,
		.stall = service->sampler.stall.last,
	};
	counts->usage_shared = shared;
	memcpy(counts->level_ms, service->level_ms, sizeof counts->level_ms);
	memcpy(counts->releases, service->perform.releases, sizeof counts->releases);
}

void tick_shared(const struct tick *tick, struct tick_shared *shared)
{
	*shared = (struct tick_shared){
		.mode = (char)('A' + tick->mode.letter),
		.usage_bytes = tick->sample.shared.current_bytes,
		.limit_bytes = tick->sample.shared.limit_bytes,
		.turns = tick->turns,
		.turns_ns = tick->turns_ns,
		.turns_most_ns = tick->turns_most_ns,
		.stall = tick->sample.shared_stall,
	};
	struct wall_sample cgroup;
	struct wall_sample machine;
	sampler_walls(tick->sampler, &cgroup, &machine);
	shared->cgroup = common_wall(tick, &cgroup);
	shared->machine = common_wall(tick, &machine);
}
