/* Limits on their way down: shown to policy, and written in steps. */
#include "supervisor/tick/tick_private.h"

#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/base/size.h"

void tick_limits_aim(struct tick *tick)
{
	for (size_t i = 0; i < tick->count; i++) {
		const struct limit *limit = &tick->service[i]->limit;
		struct wall_sample *own = &tick->service[i]->policy.sample.own;
		if (limit->moving && limit->target_bytes < own->limit_bytes)
			own->limit_bytes = limit->target_bytes;
	}
}

void tick_limits_check(const struct tick *tick)
{
	for (size_t i = 0; i < tick->count; i++) {
		const struct tick_service *service = tick->service[i];
		if (service->leaf == NULL)
			continue;
		int error = brake_worker_error(tick->means.brake, service->brake_slot);
		if (error != 0)
			log_warn("%s: new limits: %s", service->config.name, strerror(-error));
	}
}

static void move_limit(struct tick *tick, struct tick_service *service, uint64_t now_ms)
{
	const char *name = service->config.name;
	uint64_t usage_bytes = service->policy.sample.current_bytes;
	struct size_text usage = size_text(usage_bytes);
	struct size_text target = size_text(service->limit.target_bytes);
	const struct limit before = service->limit;
	enum limit_change change = limit_step(&service->limit, usage_bytes, now_ms);
	struct size_text written = size_text(service->limit.written_bytes);
	if (change == LIMIT_LATE)
		log_warn("%s: memory_max %s cannot be met: it uses %s; memory.max stays at %s",
			name, target.text, usage.text, written.text);
	if (change == LIMIT_KEEP || change == LIMIT_LATE)
		return;
	int error = brake_worker_limit(tick->means.brake, service->brake_slot,
		cgroup_leaf_fd(service->leaf), service->limit.written_bytes);
	if (error != 0) {
		if (!before.late)
			log_warn("%s: memory.max %s: %s", name, written.text, strerror(-error));
		service->limit = before; /* tried again at the next look */
		service->limit.late = true;
	} else if (change == LIMIT_REACHED) {
		log_notice("%s: memory.max is %s now; it uses %s", name, written.text, usage.text);
	}
}

bool tick_limits_move(struct tick *tick, uint64_t now_ms)
{
	bool moving = false;
	for (size_t i = 0; i < tick->count; i++) {
		struct tick_service *service = tick->service[i];
		if (!service->limit.moving || service->leaf == NULL)
			continue;
		move_limit(tick, service, now_ms);
		moving |= service->limit.moving;
	}
	return moving;
}
