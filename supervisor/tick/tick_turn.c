/* One turn: reads all there is to know, has policy decide, performs the plan. */
#include <string.h>
#include <time.h>

#include "supervisor/base/log.h"
#include "supervisor/policy/fraction.h"
#include "supervisor/policy/price.h"
#include "supervisor/tick/tick_private.h"

/* How often usage is looked at while a limit moves down. */
#define LIMIT_LOOK_MS 20U

/* For what may be killed before the next turn. */
static void note_moments(struct tick *tick, uint64_t now_ms)
{
	tick->oom_moment = oom_moment_shared(&tick->policy, &tick->sample, now_ms);
	for (size_t i = 0; i < tick->count; i++)
		tick->service[i]->oom_moment =
			oom_moment_own(&tick->service[i]->policy, &tick->sample, now_ms);
}

/* As the last turn has left it. */
static void note_rest(const struct tick *tick, struct tick_service *service)
{
	const struct service_state *state = &service->policy.state;
	service->sampler.rests = tick->rests && service->running &&
				 service->policy.sample.running && !service->limit.moving &&
				 state->pressure.level == LEVEL_CALM;
	service->sampler.tells_limit =
		service->limit_mark.inotify_fd >= 0 && limit_watch_fd(&tick->limits) >= 0;
	service->sampler.tells_events = service->events.now.file_fd >= 0;
}

/* What policy and perform must know of a service. */
static void observe(struct tick *tick, struct tick_service *service, uint64_t now_ms)
{
	const struct config_amount *high = &service->config.memory_high;
	service->policy.policy = &service->policy_config;
	service->policy.has_high = high->bytes != 0 || high->permille != 0;
	service->policy.priority = (uint32_t)service->config.memory_priority;
	service->policy.may_end = service->config.last_resort != CONFIG_LAST_NONE;
	service->policy.freeze_ms =
		service->leaf != NULL && !service->leaves ? service->config.freeze_ms : 0;
	service->policy.promised_bytes = service->promised_bytes;
	service->policy.sample.running = service->running;
	service->policy.sample.manual = service->manual;
	service->policy.sample.manual_bytes = service->manual_bytes;
	service->manual = LEVEL_CALM;
	if (service->prepared)
		tick_service_aim(service, tick->sampler, now_ms);
	note_rest(tick, service);
	sampler_read_service(tick->sampler, &service->sampler, now_ms, &service->policy.sample);
	tick_service_aimed(service);
}

static void observe_all(struct tick *tick, uint64_t now_ms)
{
	uint64_t heaps_bytes = 0;
	tick->means.reclaim.any_dry_run = false;
	for (size_t i = 0; i < tick->count; i++) {
		tick->means.reclaim.any_dry_run |= tick->service[i]->config.dry_run;
		const struct heap_sample *heap = &tick->service[i]->policy.sample.heap;
		observe(tick, tick->service[i], now_ms);
		heaps_bytes += heap->in_use_bytes + heap->idle_dirty_bytes;
	}
	sampler_read(tick->sampler, now_ms, heaps_bytes, &tick->sample);
	for (size_t i = 0; i < tick->count; i++) {
		struct perform_service *told = &tick->service[i]->perform;
		told->usage_bytes = sampler_usage(
			tick->sampler, &tick->service[i]->sampler, &told->usage_shared);
	}
}

/* As soon as there is one.  What was said before is heard then. */
static void listen_to_shims(struct tick *tick)
{
	bool is_any = false;
	for (size_t i = 0; i < tick->count; i++)
		is_any |= tick->service[i]->policy.sample.heap.processes > 0;
	int error = is_any ? notifier_settle(tick->notifiers) : 0;
	if (error != 0 && !tick->is_deaf)
		log_warn("no thread for what heaps tell of their growth: %s", strerror(-error));
	tick->is_deaf = error != 0;
}

/* Nobody waits at the gate of a dry run, and nothing is dearer than at calm. */
static void publish_nothing(const struct tick_service *service, uint64_t now_ms, uint64_t next_ms)
{
	const struct link_news news = {
		.now_ms = now_ms,
		.next_ms = next_ms,
		.headroom_bytes = UINT64_MAX,
		.credit_bytes = UINT64_MAX,
		.notice_bytes = service->policy.plan.notice_bytes,
	};
	link_publish(service->link, &news);
	link_set_price(service->link, price_base_ns(service->policy_config.core_worth_bytes));
}

static void publish(const struct tick_service *service, uint64_t now_ms, uint64_t next_ms)
{
	const struct service_plan *plan = &service->policy.plan;
	const struct link_news news = {
		.now_ms = now_ms,
		.next_ms = next_ms,
		.headroom_bytes = plan->headroom_bytes,
		.credit_bytes = plan->credit_bytes,
		.gate_wait_ms = plan->gate_wait_ms,
		.notice_bytes = plan->notice_bytes,
	};
	if (service->link == NULL)
		return;
	if (service->config.dry_run) {
		publish_nothing(service, now_ms, next_ms);
		return;
	}
	link_publish(service->link, &news);
	link_set_price(service->link, plan->price_ns);
	if (service->pressure != NULL)
		pressure_socket_tell(service->pressure, link_level(service->link), now_ms);
}

/* As the events of this turn have it. */
static void note_oom_kills(struct tick *tick, struct tick_service *service, uint64_t now_ms)
{
	const struct events_sample *events = service->leaf != NULL ? &service->policy.sample.events
								   : &tick->sample.shared_events;
	if (service->prepared)
		tick_note_oom_kills(tick, service, events->oom_kill, now_ms);
}

/* When to look again at services that grow. */
static uint32_t follow(struct tick *tick, uint64_t now_ms)
{
	uint64_t usage_bytes = tick->sample.shared.current_bytes;
	uint64_t heap_bytes = 0;
	bool notified = tick->notified;
	tick->notified = false;
	for (size_t i = 0; i < tick->count; i++) {
		const struct service_sample *sample = &tick->service[i]->policy.sample;
		usage_bytes = fraction_plus(usage_bytes, sample->current_bytes);
		heap_bytes = fraction_plus(heap_bytes,
			fraction_plus(sample->heap.in_use_bytes, sample->heap.idle_dirty_bytes));
	}
	return follow_step(&tick->follow, notified, heap_bytes, usage_bytes, now_ms);
}

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool tick_is_stirred(const struct tick *tick)
{
	if (tick->triggers_stale || tick->generation != tick->turn_generation)
		return true;
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->running != tick->service[i]->policy.sample.running ||
			tick->service[i]->manual != LEVEL_CALM)
			return true;
	return false;
}

/* Nothing is left that only a look finds out, and nobody waits for one. */
static bool may_rest(const struct tick *tick)
{
	if (tick->is_deaf || tick->triggers_stale || limit_watch_fd(&tick->limits) < 0 ||
		(tick->listener != NULL && link_listener_is_paused(tick->listener)))
		return false;
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->leaf_lost || tick->service[i]->config.target_file != NULL)
			return false;
	return !tick_is_stirred(tick);
}

static uint32_t next_ms(struct tick *tick, bool limits_move, uint64_t now_ms)
{
	tick->rests = tick->plan.next_ms >= REST_LEAST_MS;
	uint64_t next_ms = less_of(tick->plan.next_ms, follow(tick, now_ms));
	uint64_t due_ms = less_of(limit_watch_due_ms(&tick->limits), tick->limits_due_ms);
	for (size_t i = 0; i < tick->count; i++)
		due_ms = less_of(due_ms, perform_due_ms(&tick->service[i]->perform));
	next_ms = less_of(next_ms, due_ms > now_ms ? due_ms - now_ms : 1);
	if (tick->was_stalled)
		next_ms = less_of(
			next_ms, tick->mode.v2 ? SAMPLER_STALL_MS : SAMPLER_STALL_TRIGGER_MS);
	tick->was_stalled = false;
	if (!may_rest(tick))
		next_ms = less_of(next_ms, REST_LEAST_MS);
	if (limits_move)
		next_ms = less_of(next_ms, LIMIT_LOOK_MS);
	return (uint32_t)next_ms;
}

static uint32_t turn(struct tick *tick, uint64_t now_ms)
{
	tick_settle(tick);
	if (tick->listener != NULL)
		link_listener_resume(tick->listener, now_ms);
	if (tick->tree != NULL)
		cgroup_tree_settle(tick->tree);
	tick_look_for_leaves(tick, now_ms);
	tick->turn_generation = tick->generation;
	tick_watches_renew(tick, now_ms);
	observe_all(tick, now_ms);
	listen_to_shims(tick);
	tick_limits_aim(tick);
	for (size_t i = 0; i < tick->count; i++) {
		perform_settle(tick->service[i], now_ms);
		perform_ended(tick->service[i], tick->sample.shared.current_bytes,
			tick->sample.shared.limit_bytes, now_ms);
	}
	tick->sample.stall_is_polled = tick_watches_poll_stall(tick);
	perform_reclaim_settle(&tick->means.reclaim, &tick->sample.reclaim);
	policy_step(&tick->policy, &tick->sample, now_ms, &tick->plan);
	perform_plan(&tick->means, &tick->plan, tick->service, now_ms);
	tick_limits_check(tick);
	for (size_t i = 0; i < tick->count; i++) {
		publish(tick->service[i], now_ms, now_ms + tick->plan.next_ms);
		note_oom_kills(tick, tick->service[i], now_ms);
	}
	note_moments(tick, now_ms);
	return next_ms(tick, tick_limits_move(tick, now_ms), now_ms);
}

uint32_t tick_step(struct tick *tick, uint64_t now_ms)
{
	struct timespec began;
	struct timespec ended;
	clock_gettime(CLOCK_MONOTONIC, &began);
	tick_counts_levels(tick, now_ms);
	uint32_t next_ms = turn(tick, now_ms);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	tick_counts_turn(tick, (uint64_t)(ended.tv_sec - began.tv_sec) * 1000000000U +
				       (uint64_t)ended.tv_nsec - (uint64_t)began.tv_nsec);
	return next_ms;
}
