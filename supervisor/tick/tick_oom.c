/* Counts the kernel's OOM kills, logs them, and attributes them to the services that they ended. */
#include "supervisor/tick/tick_private.h"

#include "supervisor/base/log.h"

void tick_note_oom_kills(
	struct tick *tick, struct tick_service *service, uint64_t kills, uint64_t now_ms)
{
	char why[OOM_MOMENT_TEXT];
	const char *fastest = NULL;

	bool own = service->leaf != NULL;
	const struct oom_moment *moment =
		service->oom_moment.known ? &service->oom_moment : &tick->oom_moment;
	uint64_t *seen = own ? &service->oom_seen : &tick->oom_seen;
	uint64_t *untold = own ? &service->oom_untold : &tick->oom_untold;
	if (kills <= *seen)
		return;
	uint64_t fresh = kills - *seen;
	*seen = kills;
	*untold += fresh;
	if (own)
		service->oom_kills += fresh;
	else
		tick->oom_noted_ms = now_ms;
	if (moment->is_shared && moment->fastest < tick->count)
		fastest = tick->service[moment->fastest]->config.name;
	oom_moment_format(moment, fastest, now_ms, why);
	log_warn("%s: the kernel OOM-killed %llu process%s%s%s",
		own ? service->config.name : "all services", (unsigned long long)fresh,
		fresh == 1 ? "" : "es", own ? "" : " in the cgroup they share", why);
}

static uint64_t take_own_kills(struct tick_service *service, bool was_killed)
{
	uint64_t kills = was_killed ? service->oom_untold : 0;
	service->oom_untold = 0;
	return kills;
}

/* A kill that no main process took within TICK_OOM_END_MS hit some other process.  It is dropped,
 * so that a later SIGKILL by somebody else is not taken for it. */
static uint64_t take_shared_kill(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms)
{
	if (now_ms - tick->oom_noted_ms > TICK_OOM_END_MS)
		tick->oom_untold = 0;
	if (!was_killed || tick->oom_untold == 0)
		return 0;
	tick->oom_untold--;
	service->oom_kills++;
	return 1;
}

uint64_t tick_take_oom_kills(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms)
{
	uint64_t counted = sampler_oom_kills(tick->sampler, &service->sampler);
	tick_note_oom_kills(tick, service, counted, now_ms);
	return service->leaf != NULL ? take_own_kills(service, was_killed)
				     : take_shared_kill(tick, service, was_killed, now_ms);
}
