/* What the loop waits for on behalf of tick. */
#include "supervisor/fleet/fleet_private.h"

#include <string.h>

#include "supervisor/base/log.h"

static void on_watch(void *context)
{
	struct service_watch *watch = context;
	struct tick_service *service = watch->service != NULL ? &watch->service->memory : NULL;
	tick_woken(watch->fleet->host.tick, service, watch->kind, loop_now_ms());
	/* A connection to the listener says nothing about memory, and has been served. */
	if (watch->kind == TICK_WATCH_LISTENER)
		return;
	watch->fleet->tick_ms = 0;
	fleet_turn(watch->fleet);
}

void fleet_watches_drop(struct service_watch watch[TICK_WATCH_KINDS])
{
	for (size_t i = 0; i < TICK_WATCH_KINDS; i++) {
		if (watch[i].fd >= 0)
			loop_watch_free(watch[i].handle);
		watch[i].fd = -1;
	}
}

/* What is waited for is what is wanted.  0, or -errno of the last that could not be had; it was
 * said where that is news. */
static int renew_watches_of(struct fleet *fleet, struct service *service, bool is_news)
{
	const struct tick_service *memory = service != NULL ? &service->memory : NULL;
	struct service_watch *watches = service != NULL ? service->watch : fleet->watch;
	int failed = 0;
	for (enum tick_watch_kind kind = 0; kind < TICK_WATCH_KINDS; kind++) {
		struct service_watch *watch = &watches[kind];
		int fd = tick_watch_fd(fleet->host.tick, memory, kind);
		if (watch->fd == fd)
			continue;
		if (watch->fd >= 0)
			loop_watch_free(watch->handle);
		*watch = (struct service_watch){
			.fleet = fleet, .service = service, .kind = kind, .fd = -1};
		if (fd < 0)
			continue;
		int error = loop_watch_new(fleet->loop, fd, on_watch, watch, &watch->handle);
		if (error == 0)
			watch->fd = fd;
		else
			failed = error;
		if (error != 0 && is_news)
			log_warn("cannot wait for descriptor %d: %s", fd, strerror(-error));
	}
	return failed;
}

/* A watch that could not be made is tried again in every turn, and told of once: without it a
 * service that notifies us would have to wait for the next turn, for as long as it runs. */
void fleet_watches_renew(struct fleet *fleet)
{
	uint64_t generation = tick_watches_generation(fleet->host.tick);
	bool is_news = !fleet->watches_known || generation != fleet->watches_generation;
	if (!is_news && !fleet->watches_missing)
		return;
	fleet->watches_missing = renew_watches_of(fleet, NULL, is_news) != 0;
	for (size_t i = 0; i < fleet->count; i++)
		if (renew_watches_of(fleet, fleet->service[i], is_news) != 0)
			fleet->watches_missing = true;
	tick_watches_settled(fleet->host.tick);
	fleet->watches_generation = generation;
	fleet->watches_known = true;
}
