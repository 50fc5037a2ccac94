/* When to ask one service for memory, at which level, and for how much. */
#include "supervisor/policy/release.h"

#include "supervisor/policy/fraction.h"

uint64_t release_reach_bytes(enum level level, uint64_t dirty_bytes, uint64_t lazy_bytes)
{
	return level >= LEVEL_EAGER ? fraction_plus(dirty_bytes, lazy_bytes) : dirty_bytes;
}

uint64_t release_idle_bytes(
	const struct release *release, const struct heap_sample *heap, enum level level)
{
	if (proof_is_doubted(&release->proof))
		return 0;
	return release_reach_bytes(level, heap->idle_dirty_bytes, heap->lazy_bytes);
}

bool release_has_emptied(const struct release *release, uint64_t within_ms, uint64_t now_ms)
{
	return !release->asked && release->was_full && now_ms - release->full_ms <= within_ms;
}

void release_asked(
	struct release *release, enum level level, const struct release_view *view, uint64_t now_ms)
{
	release->asked = true;
	release->asked_level = level;
	release->asked_ms = now_ms;
	if (level == LEVEL_FULL) {
		release->was_full = true;
		release->full_ms = now_ms;
	}
	release->asked_released_bytes = view->released_bytes;
	proof_begin(&release->proof, &view->usage);
	release->asked_target_bytes =
		level == LEVEL_FULL || view->target_bytes == 0 ? UINT64_MAX : view->target_bytes;
}

/* What the last request brought, once it was answered or had its time. */
static void weigh(struct release *release, const struct release_view *view)
{
	uint64_t got_bytes = fraction_less(view->released_bytes, release->asked_released_bytes);
	uint64_t little_bytes = release->asked_target_bytes < RELEASE_LITTLE_BYTES
					? release->asked_target_bytes
					: RELEASE_LITTLE_BYTES;
	release->asked = false;
	/* What is lazy does not show in usage where the kernel does not tell of it. */
	if (release->asked_level > LEVEL_LAZY)
		proof_end(&release->proof, got_bytes, &view->usage);
	if (got_bytes >= little_bytes && !proof_is_doubted(&release->proof)) {
		release->backoff_ms = 0;
	} else {
		release->backoff_ms =
			release->backoff_ms == 0 ? RELEASE_ANSWER_MS : release->backoff_ms * 2;
		if (release->backoff_ms > RELEASE_BACKOFF_MAX_MS)
			release->backoff_ms = RELEASE_BACKOFF_MAX_MS;
		release->left_idle_bytes = view->idle_bytes;
	}
	release->wants_full = release->asked_level == LEVEL_EAGER && view->short_of_eager &&
			      (view->level < LEVEL_FULL || view->urgent) &&
			      got_bytes < release->asked_target_bytes;
}

static bool backs_off(
	const struct release *release, const struct release_view *view, uint64_t now_ms)
{
	/* What a heap says of itself may be older than what it could give by now. */
	uint32_t backoff_ms = view->urgent && release->backoff_ms > RELEASE_AGAIN_MS
				      ? RELEASE_AGAIN_MS
				      : release->backoff_ms;
	bool could_help = view->short_of_eager && view->idle_bytes >= RELEASE_LITTLE_BYTES;
	if (!view->urgent && !could_help && now_ms - release->asked_ms < RELEASE_AGAIN_MS)
		return true;
	if (backoff_ms == 0 || now_ms - release->asked_ms >= backoff_ms)
		return false;
	return view->idle_bytes < fraction_plus(release->left_idle_bytes, RELEASE_LITTLE_BYTES);
}

static enum level level_again(
	const struct release *release, const struct release_view *view, uint64_t now_ms)
{
	if (release->wants_full)
		return LEVEL_FULL;
	if (view->level == LEVEL_FULL && view->idle_bytes >= RELEASE_LITTLE_BYTES &&
		now_ms - release->full_ms < RELEASE_FULL_MS)
		return LEVEL_EAGER;
	return view->level;
}

enum level release_step(struct release *release, const struct release_view *view, uint64_t now_ms,
	uint64_t *target_bytes)
{
	enum level level = view->level;
	if (release->asked && (view->answered || now_ms - release->asked_ms >= RELEASE_ANSWER_MS))
		weigh(release, view);
	if (level == LEVEL_CALM) {
		release->backoff_ms = 0;
		release->wants_full = false;
		return LEVEL_CALM;
	}
	if (!view->rose) {
		if (release->asked || view->target_bytes == 0)
			return LEVEL_CALM;
		if (!release->wants_full && backs_off(release, view, now_ms))
			return LEVEL_CALM;
		level = level_again(release, view, now_ms);
	} else {
		release->backoff_ms = 0;
	}
	release->wants_full = false;
	release_asked(release, level, view, now_ms);
	*target_bytes = release->asked_target_bytes;
	return level;
}
