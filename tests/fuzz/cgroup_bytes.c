/* Bytes as the text of a control file: every parser reads them. */
#include "tests/fuzz/targets.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/policy/cgroup_text.h"

#define BEFORE UINT64_C(0xA5A5A5A5A5A5A5A5)

static const char *play_numbers(const char *text, size_t length)
{
	uint64_t value = BEFORE;
	uint64_t limit = BEFORE;
	int error = cgroup_text_u64(text, length, &value);
	if (error != 0 && value != BEFORE)
		return "a number that is none was stored";
	if (cgroup_text_limit(text, length, &limit) != error)
		return "what is a number is no limit, or the other way round";
	if (error != 0 && limit != BEFORE)
		return "a limit that is none was stored";
	if (error == 0 && limit != value && limit != SAMPLE_NO_LIMIT)
		return "the limit is another number";
	return NULL;
}

static const char *play_stat(const char *text, size_t length, enum cgroup_version version)
{
	struct wall_sample wall = {.reclaimable_bytes = BEFORE, .cache_bytes = BEFORE};
	cgroup_text_listed(text, length, version);
	if (cgroup_text_reclaimable(text, length, version, &wall) == 0)
		return wall.reclaimable_known && wall.reclaimable_bytes <= wall.cache_bytes
			       ? NULL
			       : "more is reclaimable than there is cache";
	return wall.reclaimable_bytes == BEFORE && wall.cache_bytes == BEFORE
		       ? NULL
		       : "a wall that is not known was touched";
}

static const char *play_keys(const char *text, size_t length)
{
	uint64_t value = 0;
	struct events_sample events = {0};
	struct stall_sample stall = {.some_us = BEFORE, .full_us = BEFORE};
	cgroup_text_key(text, length, "oom_kill", &value);
	cgroup_text_kib(text, length, "MemAvailable", &value);
	cgroup_text_events(text, length, &events);
	if (cgroup_text_stall(text, length, &stall) != 0 &&
		(stall.some_us != BEFORE || stall.full_us != BEFORE))
		return "a stall that was not read was touched";
	return NULL;
}

const char *cgroup_bytes_play(const uint8_t *bytes, size_t count)
{
	/* Of its own, so that a read behind its end is seen. */
	char *text = malloc(count > 0 ? count : 1);
	if (text == NULL)
		return NULL;
	if (count > 0)
		memcpy(text, bytes, count);
	const char *wrong = play_numbers(text, count);
	if (wrong == NULL)
		wrong = play_stat(text, count, CGROUP_V1);
	if (wrong == NULL)
		wrong = play_stat(text, count, CGROUP_V2);
	if (wrong == NULL)
		wrong = play_keys(text, count);
	free(text);
	return wrong;
}
