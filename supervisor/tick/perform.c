/* Makes a plan real, and logs each decision in one line. */
#include "supervisor/tick/perform.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/tick/tick_service.h"

#define REASON_BYTES 160
#define DECISION_BYTES 80

const char *perform_level_name(enum level level)
{
	static const char *const names[LEVELS] = {
		[LEVEL_CALM] = "calm",
		[LEVEL_LAZY] = "lazy",
		[LEVEL_EAGER] = "eager",
		[LEVEL_FULL] = "full",
	};
	return (unsigned)level < LEVELS ? names[level] : "?";
}

static void headroom_text(char *text, size_t size, const struct reason *reason)
{
	const char *shared = reason->shared ? " shared" : "";
	struct size_text value = size_text(reason->value);
	struct size_text threshold = size_text(reason->threshold);
	struct size_text wall = size_text(reason->wall_bytes);
	if (reason->wall_bytes == 0)
		snprintf(text, size, "headroom %s < %s", value.text, threshold.text);
	else
		snprintf(text, size, "headroom %s < %s of%s %s", value.text, threshold.text, shared,
			wall.text);
}

static unsigned long long number(uint64_t value)
{
	return value;
}

void perform_reason_text(char *text, size_t size, const struct reason *reason)
{
	const char *where = reason->shared ? "the shared cgroup's" : "its";
	struct size_text value = size_text(reason->value);
	struct size_text threshold = size_text(reason->threshold);
	struct size_text wall = size_text(reason->wall_bytes);
	switch (reason->kind) {
	case REASON_RELAXED:
		snprintf(text, size, "relaxed, headroom %s", value.text);
		break;
	case REASON_HEADROOM:
		headroom_text(text, size, reason);
		break;
	case REASON_TIME_TO_WALL:
		snprintf(text, size, "%llums < %llums to the%s wall of %s", number(reason->value),
			number(reason->threshold), reason->shared ? " shared" : "", wall.text);
		break;
	case REASON_PRESSURE:
		snprintf(text, size, "stalled %llu.%llu%% > %llu.%llu%% of the time in %s cgroup",
			number(reason->value / 10), number(reason->value % 10),
			number(reason->threshold / 10), number(reason->threshold % 10),
			reason->shared ? "the shared" : "its");
		break;
	case REASON_EVENTS_HIGH:
		snprintf(text, size, "%s memory.events high +%llu", where, number(reason->value));
		break;
	case REASON_EVENTS_MAX:
		snprintf(text, size, "%s memory.events max +%llu", where, number(reason->value));
		break;
	case REASON_GATE:
		snprintf(text, size, "gate: %s wanted, %s of credit left", value.text,
			threshold.text);
		break;
	case REASON_LIVE:
		snprintf(text, size, "%s of %s are live memory", value.text, wall.text);
		break;
	case REASON_FRAGMENTED:
		snprintf(text, size, "%s of %s are free slots in pages that hold live memory too",
			value.text, wall.text);
		break;
	case REASON_FOREIGN:
		snprintf(text, size, "%s of %s are in no heap of ours", value.text, wall.text);
		break;
	case REASON_MANUAL:
		snprintf(text, size, "asked for by hand");
		break;
	case REASON_SLOWED:
		snprintf(text, size, "slowed down for %llums below%s %s", number(reason->value),
			reason->shared ? " the shared" : "", wall.text);
		break;
	case REASON_DEADLINE:
		snprintf(text, size, "%llums are over", number(reason->value));
		break;
	default:
		snprintf(text, size, "reason %d", (int)reason->kind);
		break;
	}
}

/* "web: eager (was lazy): headroom 18.2M < 25.6M of 256M" */
static void decision_text(
	char *text, size_t size, enum level level, enum level previous, const struct reason *reason)
{
	char why[REASON_BYTES];
	perform_reason_text(why, sizeof why, reason);
	if (level == previous)
		snprintf(text, size, "%s: %s", perform_level_name(level), why);
	else
		snprintf(text, size, "%s (was %s): %s", perform_level_name(level),
			perform_level_name(previous), why);
}

/* A request that repeats what is in force and found nothing tells an operator nothing new. */
static bool is_news(const struct perform_ask *ask, uint64_t returned_bytes)
{
	return ask->level != ask->previous || ask->reason.kind == REASON_MANUAL ||
	       (ask->processes > 0 && returned_bytes > 0);
}

/* "12M of 1 of 2 processes" */
static void asked_text(char *text, size_t size, const struct perform_ask *ask)
{
	char some[16] = "";
	if (ask->spared != 0 && ask->spared < ask->processes)
		snprintf(some, sizeof some, "%u of ", ask->processes - ask->spared);
	snprintf(text, size, "%s of %s%u process%s",
		ask->target_bytes == UINT64_MAX ? "all" : size_text(ask->target_bytes).text, some,
		ask->processes, ask->processes == 1 ? "" : "es");
}

/* What a page of this service costs, which decides who is asked first. */
static void cost_text(char *text, size_t size, const struct heap_sample *heap)
{
	text[0] = '\0';
	if (heap->page_ns != 0)
		snprintf(text, size, " at %lluns a page", number(heap->page_ns));
}

static void report(struct tick_service *service, uint64_t now_ms)
{
	char decision[REASON_BYTES + DECISION_BYTES];
	char whom[64];
	char cost[48];
	const char *name = service->config.name;
	const struct heap_sample *heap = &service->sampler.totals.heap;
	struct perform_ask *ask = &service->perform.ask;
	uint64_t returned_bytes = heap->released_bytes > ask->returned_before_bytes
					  ? heap->released_bytes - ask->returned_before_bytes
					  : 0;
	const char *unanswered = heap->answered ? "" : " so far, not all answered";
	struct size_text returned = size_text(returned_bytes);
	struct size_text before = size_text(ask->usage_before_bytes);
	struct size_text after = size_text(service->perform.usage_bytes);
	void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2))) =
		is_news(ask, returned_bytes) ? log_notice : log_debug;
	decision_text(decision, sizeof decision, ask->level, ask->previous, &ask->reason);
	ask->open = false;
	if (ask->processes == 0) {
		say("%s: %s; nobody to ask: %s", name, decision,
			heap->processes == 0 ? "no heap has joined" : "no scavenger runs yet");
		return;
	}
	asked_text(whom, sizeof whom, ask);
	cost_text(cost, sizeof cost, heap);
	say("%s: %s; asked %s; returned %s in %llums%s%s (%smemory.current %s -> %s)", name,
		decision, whom, returned.text, number(now_ms - ask->asked_ms), cost, unanswered,
		service->perform.usage_shared ? "shared " : "", before.text, after.text);
}

/* A request that goes with no change of level repeats what has been said. */
static void would_release(const struct tick_service *service, const struct action *action)
{
	char decision[REASON_BYTES + DECISION_BYTES];
	const struct perform_service *state = &service->perform;
	uint32_t processes = service->sampler.totals.threads;
	void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2))) =
		state->changed ? log_notice : log_debug;
	decision_text(decision, sizeof decision, action->level,
		state->changed ? state->previous : action->level, &action->reason);
	say("%s: dry run: would ask %s of %u process%s: %s", service->config.name,
		action->target_bytes == UINT64_MAX ? "all" : size_text(action->target_bytes).text,
		processes, processes == 1 ? "" : "es", decision);
}

static void perform_release(
	struct tick_service *service, const struct action *action, uint64_t now_ms)
{
	struct perform_service *state = &service->perform;
	if (service->link == NULL)
		return;
	if (service->config.dry_run && action->reason.kind != REASON_MANUAL) {
		would_release(service, action);
		return;
	}
	if (state->ask.open)
		report(service, now_ms);
	state->ask = (struct perform_ask){
		.open = true,
		.level = action->level,
		.previous = state->changed && action->reason.kind != REASON_MANUAL ? state->previous
										   : action->level,
		.reason = action->reason,
		.target_bytes = action->target_bytes,
		.asked_ms = now_ms,
		.processes = service->sampler.totals.threads,
		.returned_before_bytes = service->sampler.totals.heap.released_bytes,
		.usage_before_bytes = state->usage_bytes,
	};
	state->releases[action->level]++;
	link_ask(service->link, action->level, action->target_bytes);
	state->ask.spared = link_spared_processes(service->link);
	if (state->ask.processes == 0)
		report(service, now_ms);
}

static void perform_brake(struct brake_worker *brake, struct tick_service *service,
	const struct action *action, uint64_t now_ms)
{
	char why[REASON_BYTES];
	const char *name = service->config.name;
	struct size_text high = size_text(action->high_bytes);
	if (brake == NULL || service->leaf == NULL)
		return;
	perform_reason_text(why, sizeof why, &action->reason);
	if (service->config.dry_run) {
		log_notice("%s: dry run: would brake: %s; memory.high %s", name, why, high.text);
		return;
	}
	int error = brake_worker_set(brake, service->brake_slot, cgroup_leaf_fd(service->leaf),
		action->high_bytes, service->high_bytes, action->until_ms);
	if (error != 0) {
		log_warn("%s: brake: %s: memory.high: %s", name, why, strerror(-error));
		return;
	}
	service->perform.brakes++;
	log_notice("%s: brake on: %s; memory.high %s for at most %llums", name, why, high.text,
		number(action->until_ms > now_ms ? action->until_ms - now_ms : 0));
}

static void perform_unbrake(
	struct brake_worker *brake, const struct tick_service *service, const struct action *action)
{
	char why[REASON_BYTES];
	struct size_text high = size_text(service->high_bytes);
	/* What was never put on is not worth a line when it would come off. */
	if (brake == NULL || service->leaf == NULL || service->config.dry_run)
		return;
	brake_worker_lift(brake, service->brake_slot);
	perform_reason_text(why, sizeof why, &action->reason);
	log_notice("%s: brake off: %s; memory.high %s", service->config.name, why, high.text);
}

static void perform_freeze(struct brake_worker *brake, struct tick_service *service,
	const struct tick_service *needy, const struct action *action, uint64_t now_ms)
{
	char why[REASON_BYTES];
	const char *name = service->config.name;
	uint64_t for_ms = action->until_ms > now_ms ? action->until_ms - now_ms : 0;
	if (brake == NULL || service->leaf == NULL)
		return;
	perform_reason_text(why, sizeof why, &action->reason);
	log_notice("%s: %s for at most %llums, as %s needs memory that others give back: %s", name,
		service->config.dry_run ? "dry run: would be frozen" : "frozen", number(for_ms),
		needy->config.name, why);
	if (service->config.dry_run)
		return;
	int error = brake_worker_freeze(
		brake, service->freeze_slot, cgroup_leaf_fd(service->leaf), action->until_ms);
	if (error != 0)
		log_warn("%s: not frozen: cgroup.freeze: %s", name, strerror(-error));
	service->perform.frozen = error == 0;
	service->perform.frozen_ms = now_ms;
}

static void perform_thaw(struct brake_worker *brake, struct tick_service *service,
	const struct action *action, uint64_t now_ms)
{
	char why[REASON_BYTES];
	if (!service->perform.frozen || service->leaf == NULL)
		return;
	service->perform.frozen = false;
	brake_worker_lift(brake, service->freeze_slot);
	perform_reason_text(why, sizeof why, &action->reason);
	log_notice("%s: thawed after %llums: %s", service->config.name,
		number(now_ms - service->perform.frozen_ms), why);
}

static void perform_conclude(const struct tick_service *service, const struct action *action)
{
	char why[REASON_BYTES];
	struct size_text headroom = size_text(action->reason.threshold);
	perform_reason_text(why, sizeof why, &action->reason);
	log_notice("%s: no idle memory is left below %s: %s; growth %s use the %s that are free",
		service->config.name, action->reason.shared ? "the shared limit" : "its limit", why,
		service->config.dry_run ? "could" : "may", headroom.text);
}

static void perform_end(struct brake_worker *brake, struct tick_service *service,
	const struct action *action, uint64_t now_ms)
{
	char why[REASON_BYTES];
	const struct heap_sample *heap = &service->sampler.totals.heap;
	const char *what = service->config.last_resort == CONFIG_LAST_STOP ? "stop" : "restart";
	perform_reason_text(why, sizeof why, &action->reason);
	log_warn("%s: %slast resort: %s: %s; %smemory.current %s (its heaps: live %s, idle %s)",
		service->config.name, service->config.dry_run ? "dry run: would be the " : "", what,
		why, service->perform.usage_shared ? "shared " : "",
		size_text(service->perform.usage_bytes).text, size_text(heap->in_use_bytes).text,
		size_text(heap->idle_dirty_bytes).text);
	if (service->config.dry_run)
		return;
	/* Throttled, it would take longer to end, and frozen it would not. */
	tick_service_let_go(service, brake);
	service->perform.ends = true;
	service->perform.ends_ms = now_ms;
	service->is_to_end = true;
}

void perform_ended(
	struct tick_service *service, uint64_t used_bytes, uint64_t limit_bytes, uint64_t now_ms)
{
	bool limited = limit_bytes != UINT64_MAX;
	if (!service->perform.ended)
		return;
	service->perform.ended = false;
	log_warn("%s: last resort: it ended after %llums; all services use %s%s%s now",
		service->config.name, number(now_ms - service->perform.ends_ms),
		size_text(used_bytes).text, limited ? " of " : "",
		limited ? size_text(limit_bytes).text : "");
}

/* A change of level that comes with a release of the same service is told in the release's line,
 * unless that has a reason of its own. */
static const struct action *find_release(const struct plan *plan, size_t after, size_t service)
{
	for (size_t i = after + 1; i < plan->count; i++)
		if (plan->action[i].kind == ACTION_RELEASE && plan->action[i].service == service &&
			plan->action[i].reason.kind != REASON_MANUAL)
			return &plan->action[i];
	return NULL;
}

static void perform_level(
	struct tick_service *service, const struct action *action, bool has_release)
{
	char decision[REASON_BYTES + DECISION_BYTES];
	const char *dry = service->config.dry_run ? "dry run: would be " : "";
	if (service->link != NULL && !service->config.dry_run)
		link_set_level(service->link, action->level);
	service->perform.previous = action->previous;
	service->perform.changed = service->link != NULL;
	if (service->link != NULL && has_release)
		return;
	decision_text(decision, sizeof decision, action->level, action->previous, &action->reason);
	log_notice("%s: %s%s", service->config.name, dry, decision);
}

void perform_plan(struct perform_means *means, const struct plan *plan,
	struct tick_service *const *service, uint64_t now_ms)
{
	for (size_t i = 0; i < plan->count; i++)
		service[plan->action[i].service]->perform.changed = false;
	for (size_t i = 0; i < plan->count; i++) {
		const struct action *action = &plan->action[i];
		struct tick_service *whose = service[action->service];
		switch (action->kind) {
		case ACTION_LEVEL:
			perform_level(
				whose, action, find_release(plan, i, action->service) != NULL);
			break;
		case ACTION_RELEASE:
			perform_release(whose, action, now_ms);
			break;
		case ACTION_BRAKE:
			perform_brake(means->brake, whose, action, now_ms);
			break;
		case ACTION_UNBRAKE:
			perform_unbrake(means->brake, whose, action);
			break;
		case ACTION_FREEZE:
			perform_freeze(means->brake, whose, service[action->needy], action, now_ms);
			break;
		case ACTION_THAW:
			perform_thaw(means->brake, whose, action, now_ms);
			break;
		case ACTION_CONCLUDE:
			perform_conclude(whose, action);
			break;
		case ACTION_END:
			perform_end(means->brake, whose, action, now_ms);
			break;
		case ACTION_RECLAIM:
			perform_reclaim_start(&means->reclaim, whose, action);
			break;
		case ACTIONS:
			break;
		}
	}
}

void perform_settle(struct tick_service *service, uint64_t now_ms)
{
	const struct perform_ask *ask = &service->perform.ask;
	if (!ask->open)
		return;
	/* The totals are of this turn, and the release was asked for in an earlier one. */
	if (service->sampler.totals.heap.answered || now_ms - ask->asked_ms >= PERFORM_ANSWER_MS)
		report(service, now_ms);
}

void perform_forget(struct perform_service *service)
{
	service->ask.open = false;
	service->frozen = false;
}

uint64_t perform_due_ms(const struct perform_service *service)
{
	return service->ask.open ? service->ask.asked_ms + PERFORM_ANSWER_MS : UINT64_MAX;
}
