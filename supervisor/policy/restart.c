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
	restart->deadline_ms = now_ms + stopwait_ms;
	return RESTART_DO_SIGNAL;
}

static void back_off(struct restart *restart, uint64_t now_ms)
{
	uint32_t delay_ms = restart->delay_ms * 2;
	if (delay_ms < RESTART_DELAY_MIN_MS)
		delay_ms = RESTART_DELAY_MIN_MS;
	if (delay_ms > RESTART_DELAY_MAX_MS)
		delay_ms = RESTART_DELAY_MAX_MS;
	restart->delay_ms = delay_ms;
	restart->state = RESTART_BACKOFF;
	restart->deadline_ms = now_ms + delay_ms;
}

static void end(struct restart *restart, enum config_autorestart autorestart, bool expected,
	uint64_t now_ms)
{
	if (now_ms - restart->started_ms >= RESTART_STEADY_MS)
		restart->delay_ms = 0;
	if (autorestart == CONFIG_RESTART_ALWAYS ||
		(autorestart == CONFIG_RESTART_UNEXPECTED && !expected))
		back_off(restart, now_ms);
	else
		restart->state = RESTART_EXITED;
}

static enum restart_action step_down(
	struct restart *restart, uint32_t stopwait_ms, struct restart_event event, uint64_t now_ms)
{
	switch (event.kind) {
	case RESTART_ON_START:
	case RESTART_ON_RESTART:
		restart->delay_ms = 0;
		return start(restart, now_ms);
	case RESTART_ON_STOP:
		restart->state = RESTART_STOPPED;
		return RESTART_DO_NOTHING;
	case RESTART_ON_STARTED:
		/* The wish to be down came while it was being started. */
		return stop(restart, false, stopwait_ms, now_ms);
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

static enum restart_action step_up(struct restart *restart, enum config_autorestart autorestart,
	uint32_t stopwait_ms, struct restart_event event, uint64_t now_ms)
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
		if (starting && autorestart == CONFIG_RESTART_NEVER)
			restart->state = RESTART_FATAL;
		else if (starting)
			back_off(restart, now_ms);
		return RESTART_DO_NOTHING;
	case RESTART_ON_EXITED:
		end(restart, autorestart, event.expected, now_ms);
		return RESTART_DO_NOTHING;
	case RESTART_ON_STOP:
		if (starting) {
			restart->state = RESTART_STOPPED;
			return RESTART_DO_NOTHING;
		}
		return stop(restart, false, stopwait_ms, now_ms);
	case RESTART_ON_RESTART:
		return starting ? RESTART_DO_NOTHING : stop(restart, true, stopwait_ms, now_ms);
	default:
		return RESTART_DO_NOTHING;
	}
}

static enum restart_action step_stopping(
	struct restart *restart, struct restart_event event, uint64_t now_ms)
{
	switch (event.kind) {
	case RESTART_ON_EXITED:
		restart->delay_ms = 0;
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
		return RESTART_DO_NOTHING;
	case RESTART_ON_START:
	case RESTART_ON_RESTART:
		restart->again = true;
		return RESTART_DO_NOTHING;
	default:
		return RESTART_DO_NOTHING;
	}
}

enum restart_action restart_step(struct restart *restart, enum config_autorestart autorestart,
	uint32_t stopwait_ms, struct restart_event event, uint64_t now_ms)
{
	switch (restart->state) {
	case RESTART_STARTING:
	case RESTART_RUNNING:
		return step_up(restart, autorestart, stopwait_ms, event, now_ms);
	case RESTART_BACKOFF:
		return step_backoff(restart, event, now_ms);
	case RESTART_STOPPING:
		return step_stopping(restart, event, now_ms);
	default:
		return step_down(restart, stopwait_ms, event, now_ms);
	}
}

uint64_t restart_deadline_ms(const struct restart *restart)
{
	bool waits = restart->state == RESTART_BACKOFF || restart->state == RESTART_STOPPING;
	return waits ? restart->deadline_ms : RESTART_NEVER_MS;
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
