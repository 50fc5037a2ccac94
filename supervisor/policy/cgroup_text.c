/* Reads the texts of cgroup files, v1 and v2, and of /proc/meminfo. */
#include "supervisor/policy/cgroup_text.h"

#include <errno.h>
#include <string.h>

#include "supervisor/policy/fraction.h"

/* v1 says "no limit" with the largest page count there is. */
#define V1_NO_LIMIT (UINT64_C(1) << 62)

/* Digits from *at on; moves *at behind them. */
static int parse_digits(const char *text, size_t length, size_t *at, uint64_t *value)
{
	uint64_t sum = 0;
	size_t i = *at;
	for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
		unsigned digit = (unsigned)(text[i] - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		sum = sum * 10 + digit;
	}
	if (i == *at)
		return -EINVAL;
	*at = i;
	*value = sum;
	return 0;
}

int cgroup_text_u64(const char *text, size_t length, uint64_t *value)
{
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
		length--;
	if (length == 3 && memcmp(text, "max", 3) == 0) {
		*value = SAMPLE_NO_LIMIT;
		return 0;
	}
	size_t at = 0;
	uint64_t number;
	int error = parse_digits(text, length, &at, &number);
	if (error != 0)
		return error;
	if (at != length)
		return -EINVAL;
	*value = number;
	return 0;
}

int cgroup_text_limit(const char *text, size_t length, uint64_t *limit_bytes)
{
	uint64_t limit;
	int error = cgroup_text_u64(text, length, &limit);
	if (error != 0)
		return error;
	*limit_bytes = limit >= V1_NO_LIMIT ? SAMPLE_NO_LIMIT : limit;
	return 0;
}

/* The word at *at; moves *at behind it. */
static bool skip_word(const char *text, size_t length, const char *word, size_t *at)
{
	size_t i = *at;
	for (; *word != '\0'; word++, i++)
		if (i >= length || text[i] != *word)
			return false;
	*at = i;
	return true;
}

static size_t line_end(const char *text, size_t length, size_t at)
{
	const char *newline = memchr(text + at, '\n', length - at);
	return newline != NULL ? (size_t)(newline - text) : length;
}

bool cgroup_text_key(const char *text, size_t length, const char *key, uint64_t *value)
{
	for (size_t line = 0; line < length; line = line_end(text, length, line) + 1) {
		size_t at = line;
		if (!skip_word(text, length, key, &at) || !skip_word(text, length, " ", &at))
			continue;
		return parse_digits(text, length, &at, value) == 0 &&
		       (at == length || text[at] == '\n');
	}
	return false;
}

bool cgroup_text_kib(const char *text, size_t length, const char *key, uint64_t *bytes)
{
	for (size_t line = 0; line < length; line = line_end(text, length, line) + 1) {
		size_t at = line;
		uint64_t kib;
		if (!skip_word(text, length, key, &at) || !skip_word(text, length, ":", &at))
			continue;
		while (skip_word(text, length, " ", &at))
			;
		if (parse_digits(text, length, &at, &kib) != 0 || kib > UINT64_MAX / 1024 ||
			!skip_word(text, length, " kB", &at))
			return false;
		*bytes = kib * 1024;
		return true;
	}
	return false;
}

int cgroup_text_reclaimable(
	const char *text, size_t length, enum cgroup_version version, struct wall_sample *wall)
{
	enum { INACTIVE, ACTIVE, DIRTY, WRITEBACK, SLAB, KEYS };
	static const char *const keys[][KEYS] = {
		[CGROUP_V1] = {"total_inactive_file", "total_active_file", "total_dirty",
			"total_writeback", NULL},
		[CGROUP_V2] = {"inactive_file", "active_file", "file_dirty", "file_writeback",
			"slab_reclaimable"},
	};
	uint64_t bytes[KEYS] = {0};
	const char *const *key = keys[version];
	if (!cgroup_text_key(text, length, key[INACTIVE], &bytes[INACTIVE]))
		return -ENOENT;
	for (size_t i = ACTIVE; i < KEYS; i++)
		if (key[i] != NULL)
			cgroup_text_key(text, length, key[i], &bytes[i]);
	uint64_t clean_bytes =
		fraction_less(fraction_less(bytes[INACTIVE], bytes[DIRTY]), bytes[WRITEBACK]);
	uint64_t busy_bytes = fraction_plus(bytes[ACTIVE], bytes[INACTIVE] - clean_bytes);
	wall->reclaimable_bytes =
		fraction_plus(fraction_plus(clean_bytes, busy_bytes / 2), bytes[SLAB]);
	wall->cache_bytes = fraction_plus(fraction_plus(clean_bytes, busy_bytes), bytes[SLAB]);
	wall->reclaimable_known = true;
	return 0;
}

uint64_t cgroup_text_listed(const char *text, size_t length, enum cgroup_version version)
{
	enum { INACTIVE, ACTIVE, FILE, SHMEM, KEYS };
	static const char *const keys[][KEYS] = {
		[CGROUP_V1] = {"total_inactive_file", "total_active_file", "total_cache",
			"total_shmem"},
		[CGROUP_V2] = {"inactive_file", "active_file", "file", "shmem"},
	};
	uint64_t bytes[KEYS];
	for (size_t i = 0; i < KEYS; i++)
		if (!cgroup_text_key(text, length, keys[version][i], &bytes[i]))
			return 0;
	return fraction_less(fraction_plus(bytes[INACTIVE], bytes[ACTIVE]),
		fraction_less(bytes[FILE], bytes[SHMEM]));
}

void cgroup_text_events(const char *text, size_t length, struct events_sample *events)
{
	struct events_sample read = {.known = true};
	if (!cgroup_text_key(text, length, "max", &read.max))
		return;
	cgroup_text_key(text, length, "high", &read.high);
	cgroup_text_key(text, length, "oom", &read.oom);
	cgroup_text_key(text, length, "oom_kill", &read.oom_kill);
	*events = read;
}

/* The number after " total=" of the line that starts with kind. */
static int parse_total(const char *text, size_t length, const char *kind, uint64_t *total_us)
{
	for (size_t line = 0; line < length; line = line_end(text, length, line) + 1) {
		size_t end = line_end(text, length, line);
		size_t at = line;
		if (!skip_word(text, length, kind, &at))
			continue;
		for (at--; at < end; at++)
			if (skip_word(text, end, " total=", &at))
				return parse_digits(text, end, &at, total_us);
		return -EINVAL;
	}
	return -ENOENT;
}

int cgroup_text_stall(const char *text, size_t length, struct stall_sample *stall)
{
	uint64_t some_us;
	uint64_t full_us = 0;
	int error = parse_total(text, length, "some ", &some_us);
	if (error != 0)
		return error;
	error = parse_total(text, length, "full ", &full_us);
	if (error != 0 && error != -ENOENT)
		return error;
	stall->some_us = some_us;
	stall->full_us = full_us;
	return 0;
}
