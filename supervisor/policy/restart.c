/* When a service starts, stops and starts again. */
#include "supervisor/policy/restart.h"

/* Between one SIGKILL and the next: some processes are slow to go, some cgroups fork. */
#define KILL_AGAIN_MS 1000U

static enum restart_action start(struct restart *restart, uint64_t now_ms)
{
	restart->state = RESTART_STARTING;
	restart->started_ms = now_ms;
	restart->again = false;
	return RESTART_DO_START;
}

static enum restart_action stop(
	struct restart *restart, bool again, uint32_t stopwait_ms, uint64_t now_ms)
{
	restart->state = RESTART_STOPPING;
	restart->again = again;
	restart->failing = false;
	restart->deadline_ms = now_ms + stopwait_ms;
	return RESTART_DO_SIGNAL;
}

static void wait_for(struct restart *restart, uint32_t delay_ms, uint64_t now_ms)
{
	restart->delay_ms = delay_ms;
	restart->state = RESTART_BACKOFF;
	restart->deadline_ms = now_ms + delay_ms;
}

/* A fifth more or less, by xorshift (Marsaglia 2003); what would be above the most is as much below
 * it. */
static uint32_t spread_out(struct restart *restart, uint32_t delay_ms)
{
	if (restart->seed == 0)
		return delay_ms;
	restart->seed ^= restart->seed << 13;
	restart->seed ^= restart->seed >> 17;
	restart->seed ^= restart->seed << 5;
	uint32_t part_ms = delay_ms / 5;
	uint32_t spread_ms = delay_ms - part_ms + restart->seed % (2 * part_ms + 1);
	if (spread_ms > RESTART_DELAY_MAX_MS)
		return 2 * RESTART_DELAY_MAX_MS - spread_ms;
	return spread_ms;
}

static void back_off_doubling(struct restart *restart, uint64_t now_ms)
{
	uint32_t delay_ms = restart->delay_ms * 2;
	if (delay_ms < RESTART_DELAY_MIN_MS)
		delay_ms = RESTART_DELAY_MIN_MS;
	if (delay_ms > RESTART_DELAY_MAX_MS)
		delay_ms = RESTART_DELAY_MAX_MS;
	wait_for(restart, delay_ms, now_ms);
	restart->deadline_ms = now_ms + spread_out(restart, delay_ms);
}

/* After an end of a service that was up. */
static void back_off(struct restart *restart, const struct restart_rules *rules, uint64_t now_ms)
{
	uint64_t next_ms = restart->started_ms + RESTART_PACE_MS;
	if (rules->backoff == CONFIG_BACKOFF_DOUBLING)
		back_off_doubling(restart, now_ms);
	else
		wait_for(restart, next_ms > now_ms ? (uint32_t)(next_ms - now_ms) : 0, now_ms);
}

/* It could not be started, or has ended too soon. */
static void fail(struct restart *restart, const struct restart_rules *rules, uint64_t now_ms)
{
	restart->failed++;
	if (restart->failed > rules->startretries)
		restart->state = RESTART_FATAL;
	else if (rules->backoff == CONFIG_BACKOFF_DOUBLING)
		back_off_doubling(restart, now_ms);
	else
		wait_for(restart, restart->failed * RESTART_PACE_MS, now_ms);
}

static void refuse(struct restart *restart, const struct restart_rules *rules, uint64_t now_ms)
{
	if (rules->backoff == CONFIG_BACKOFF_DOUBLING && rules->autorestart == CONFIG_RESTART_NEVER)
		restart->state = RESTART_FATAL;
	else
		fail(restart, rules, now_ms);
}

static void end(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms)
{
	uint64_t ran_ms = now_ms - restart->started_ms;
	if (event.is_done) {
		restart->failed = 0;
		restart->state = RESTART_EXITED;
		return;
	}
	if (event.never_ready || ran_ms < rules->startsecs_ms ||
		(event.never_ran && rules->backoff == CONFIG_BACKOFF_LINEAR)) {
		fail(restart, rules, now_ms);
		return;
	}
	restart->failed = 0;
	if (ran_ms >= RESTART_STEADY_MS)
		restart->delay_ms = 0;
	if (rules->autorestart == CONFIG_RESTART_ALWAYS ||
		(rules->autorestart == CONFIG_RESTART_UNEXPECTED && !event.expected))
		back_off(restart, rules, now_ms);
	else
		restart->state = RESTART_EXITED;
}

static enum restart_action step_down(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms)
{
	switch (event.kind) {
	case RESTART_ON_START:
	case RESTART_ON_RESTART:
		restart->delay_ms = 0;
		restart->failed = 0;
		return start(restart, now_ms);
	case RESTART_ON_STOP:
		restart->state = RESTART_STOPPED;
		return RESTART_DO_NOTHING;
	case RESTART_ON_STARTED:
		/* It was told to stop while it was being started. */
		return stop(restart, false, rules->stopwait_ms, now_ms);
	default:
		return RESTART_DO_NOTHING;
	}
}

static enum restart_action step_backoff(
	struct restart *restart, struct restart_event event, uint64_t now_ms)
{
	switch (event.kind) {
	case RESTART_ON_TIME:
		return now_ms >= restart->deadline_ms ? start(restart, now_ms) : RESTART_DO_NOTHING;
	case RESTART_ON_START:
	case RESTART_ON_RESTART:
		return start(restart, now_ms);
	case RESTART_ON_STOP:
		restart->state = RESTART_STOPPED;
		return RESTART_DO_NOTHING;
	default:
		return RESTART_DO_NOTHING;
	}
}

static enum restart_action step_up(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms)
{
	bool starting = restart->state == RESTART_STARTING;
	switch (event.kind) {
	case RESTART_ON_STARTED:
		if (!starting)
			return RESTART_DO_NOTHING;
		restart->state = RESTART_RUNNING;
		restart->started_ms = now_ms;
		restart->starts++;
		return RESTART_DO_NOTHING;
	case RESTART_ON_REFUSED:
		if (starting)
			refuse(restart, rules, now_ms);
		return RESTART_DO_NOTHING;
	case RESTART_ON_EXITED:
		end(restart, rules, event, now_ms);
		return RESTART_DO_NOTHING;
	case RESTART_ON_STOP:
		if (starting) {
			restart->state = RESTART_STOPPED;
			return RESTART_DO_NOTHING;
		}
		return stop(restart, false, rules->stopwait_ms, now_ms);
	case RESTART_ON_RESTART:
		return starting ? RESTART_DO_NOTHING
				: stop(restart, true, rules->stopwait_ms, now_ms);
	case RESTART_ON_FAILED:
		if (starting)
			return RESTART_DO_NOTHING;
		stop(restart, false, rules->stopwait_ms, now_ms);
		restart->failing = true;
		return RESTART_DO_SIGNAL;
	default:
		return RESTART_DO_NOTHING;
	}
}

static enum restart_action step_stopping(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms)
{
	switch (event.kind) {
	case RESTART_ON_EXITED:
		if (restart->failing) {
			event.expected = false;
			event.is_done = false;
			end(restart, rules, event, now_ms);
			return RESTART_DO_NOTHING;
		}
		restart->delay_ms = 0;
		restart->failed = 0;
		if (restart->again)
			return start(restart, now_ms);
		restart->state = RESTART_STOPPED;
		return RESTART_DO_NOTHING;
	case RESTART_ON_TIME:
		if (now_ms < restart->deadline_ms)
			return RESTART_DO_NOTHING;
		restart->deadline_ms = now_ms + KILL_AGAIN_MS;
		return RESTART_DO_KILL;
	case RESTART_ON_STOP:
		restart->again = false;
		restart->failing = false;
		return RESTART_DO_NOTHING;
	case RESTART_ON_START:
	case RESTART_ON_RESTART:
		restart->again = true;
		restart->failing = false;
		return RESTART_DO_NOTHING;
	default:
		return RESTART_DO_NOTHING;
	}
}

enum restart_action restart_step(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms)
{
	switch (restart->state) {
	case RESTART_STARTING:
	case RESTART_RUNNING:
		return step_up(restart, rules, event, now_ms);
	case RESTART_BACKOFF:
		return step_backoff(restart, event, now_ms);
	case RESTART_STOPPING:
		return step_stopping(restart, rules, event, now_ms);
	default:
		return step_down(restart, rules, event, now_ms);
	}
}

uint64_t restart_deadline_ms(const struct restart *restart)
{
	bool waits = restart->state == RESTART_BACKOFF || restart->state == RESTART_STOPPING;
	return waits ? restart->deadline_ms : RESTART_NEVER_MS;
}

enum restart_state restart_shown(
	const struct restart *restart, const struct restart_rules *rules, uint64_t now_ms)
{
	if (restart->state == RESTART_RUNNING && now_ms - restart->started_ms < rules->startsecs_ms)
		return RESTART_STARTING;
	return restart->state;
}

const char *restart_state_name(enum restart_state state)
{
	switch (state) {
	case RESTART_STOPPED:
		return "STOPPED";
	case RESTART_STARTING:
		return "STARTING";
	case RESTART_RUNNING:
		return "RUNNING";
	case RESTART_BACKOFF:
		return "BACKOFF";
	case RESTART_STOPPING:
		return "STOPPING";
	case RESTART_EXITED:
		return "EXITED";
	case RESTART_FATAL:
		return "FATAL";
	}
	return "UNKNOWN";
}
