/* Keeps what is to be said of an OOM kill. */
#include "supervisor/tick/oom_moment.h"

#include <inttypes.h>
#include <stdio.h>

#include "supervisor/base/size.h"
#include "supervisor/policy/fraction.h"

/* Older than this is said. */
#define OOM_MOMENT_FRESH_MS 50U

static void add_heap(struct oom_moment *moment, const struct policy_service *service)
{
	const struct heap_sample *heap = &service->sample.heap;
	moment->live_bytes = fraction_plus(moment->live_bytes, heap->in_use_bytes);
	moment->idle_bytes = fraction_plus(moment->idle_bytes, heap->idle_dirty_bytes);
	moment->lazy_bytes = fraction_plus(moment->lazy_bytes, heap->lazy_bytes);
}

static void add_wall(struct oom_moment *moment, const struct wall_sample *wall)
{
	moment->limit_bytes = wall->limit_bytes;
	moment->used_bytes = wall->current_bytes;
	if (wall->reclaimable_known)
		moment->kernel_bytes = fraction_less(wall->reclaimable_bytes, moment->lazy_bytes);
}

/* Whether its own limit is what stops it first. */
static bool own_is_nearer(const struct policy_service *service, const struct sample *sample)
{
	uint64_t lazy_bytes = service->sample.heap.lazy_bytes;
	return service->sample.own.limit_bytes != SAMPLE_NO_LIMIT &&
	       wall_headroom_bytes(&service->sample.own, lazy_bytes) <=
		       wall_headroom_bytes(&sample->shared, lazy_bytes);
}

struct oom_moment oom_moment_own(
	const struct policy_service *service, const struct sample *sample, uint64_t now_ms)
{
	struct oom_moment moment = {.at_ms = now_ms, .fastest = SIZE_MAX};
	moment.known = own_is_nearer(service, sample);
	moment.bytes_per_s = service->turn.own.bytes_per_s;
	add_heap(&moment, service);
	add_wall(&moment, &service->sample.own);
	return moment;
}

struct oom_moment oom_moment_shared(
	const struct policy_state *policy, const struct sample *sample, uint64_t now_ms)
{
	struct oom_moment moment = {
		.known = true, .at_ms = now_ms, .is_shared = true, .fastest = SIZE_MAX};
	for (size_t i = 0; i < policy->service_count; i++) {
		uint64_t bytes_per_s = policy->service[i]->turn.own.bytes_per_s;
		if (!policy->service[i]->sample.running)
			continue;
		add_heap(&moment, policy->service[i]);
		if (bytes_per_s > moment.bytes_per_s) {
			moment.bytes_per_s = bytes_per_s;
			moment.fastest = i;
		}
	}
	add_wall(&moment, &sample->shared);
	return moment;
}

void oom_moment_format(const struct oom_moment *moment, const char *fastest, uint64_t now_ms,
	char text[OOM_MOMENT_TEXT])
{
	struct size_text used = size_text(moment->used_bytes);
	struct size_text limit = size_text(moment->limit_bytes);
	struct size_text live = size_text(moment->live_bytes);
	struct size_text idle = size_text(moment->idle_bytes);
	struct size_text lazy = size_text(moment->lazy_bytes);
	struct size_text kernel = size_text(moment->kernel_bytes);
	uint64_t told_bytes = fraction_plus(fraction_plus(moment->live_bytes, moment->idle_bytes),
		fraction_plus(moment->lazy_bytes, moment->kernel_bytes));
	struct size_text other = size_text(fraction_less(moment->used_bytes, told_bytes));
	struct size_text speed = size_text(moment->bytes_per_s);
	uint64_t ago_ms = fraction_less(now_ms, moment->at_ms);
	text[0] = '\0';
	if (!moment->known)
		return;
	int length = snprintf(text, OOM_MOMENT_TEXT,
		": used %s of %s%s (live %s, idle %s, lazy %s, caches %s, other %s)", used.text,
		limit.text, moment->is_shared ? " that all share" : "", live.text, idle.text,
		lazy.text, kernel.text, other.text);
	if (moment->bytes_per_s != 0 && length < OOM_MOMENT_TEXT)
		length += snprintf(text + length, OOM_MOMENT_TEXT - (size_t)length,
			", %s%sgrowing by %s/s", fastest != NULL ? fastest : "",
			fastest != NULL ? " " : "", speed.text);
	if (ago_ms > OOM_MOMENT_FRESH_MS && length < OOM_MOMENT_TEXT)
		snprintf(text + length, OOM_MOMENT_TEXT - (size_t)length, "; %" PRIu64 " ms before",
			ago_ms);
}
