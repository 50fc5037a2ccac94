#include "tests/bench/demo/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 256

#define FIELD(name) \
	{ \
#name, offsetof(struct record_totals, name) \
	}
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(limit_bytes),
	FIELD(elapsed_ms),
	FIELD(schedule_ms),
	FIELD(schedule_length_ms),
	FIELD(schedule_needed_ms),
	FIELD(kills),
	FIELD(restarts),
	FIELD(served),
	FIELD(lost),
	FIELD(wrong),
	FIELD(objects_lost),
	FIELD(latency_p50_us),
	FIELD(latency_p99_us),
	FIELD(latency_max_us),
	FIELD(current_peak_bytes),
	FIELD(current_mean_bytes),
	FIELD(live_peak_bytes),
	FIELD(clean_exit),
	FIELD(supervised),
	FIELD(released_background_bytes),
	FIELD(released_growth_bytes),
	FIELD(released_lazy_bytes),
	FIELD(released_eager_bytes),
	FIELD(released_full_bytes),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

_Static_assert(FIELDS * sizeof(uint64_t) == sizeof(struct record_totals), "every total is saved");

void record_kill(struct record *record, uint32_t at_ms)
{
	if (record->kill_count < RECORD_KILLS_MAX)
		record->kill_ms[record->kill_count++] = at_ms;
}

int record_sample(struct record *record, const struct record_sample *sample)
{
	if (record->sample_count == record->sample_capacity) {
		size_t capacity = record->sample_capacity ? 2 * record->sample_capacity : 1024;
		void *samples = realloc(record->samples, capacity * sizeof(*record->samples));

		if (!samples)
			return -ENOMEM;
		record->samples = samples;
		record->sample_capacity = capacity;
	}
	record->samples[record->sample_count++] = *sample;
	return 0;
}

void record_summarise(struct record *record)
{
	struct record_totals *totals = &record->totals;
	uint64_t sum = 0;

	for (size_t i = 0; i < record->sample_count; i++) {
		const struct record_sample *sample = &record->samples[i];
		uint64_t live = 0;

		for (unsigned j = 0; j < SCHEDULE_WORKERS; j++)
			live += sample->live_bytes[j];
		sum += sample->current_bytes;
		if (sample->current_bytes > totals->current_peak_bytes)
			totals->current_peak_bytes = sample->current_bytes;
		if (live > totals->live_peak_bytes)
			totals->live_peak_bytes = live;
	}
	if (record->sample_count > 0)
		totals->current_mean_bytes = sum / record->sample_count;
}

int record_save(const struct record *record, const char *path)
{
	FILE *file = fopen(path, "we");
	int rc = 0;

	if (!file)
		return -errno;
	(void)fprintf(file, "run %s\n", record->name);
	for (size_t i = 0; i < FIELDS; i++) {
		uint64_t value;

		memcpy(&value, (const char *)&record->totals + fields[i].offset, sizeof(value));
		(void)fprintf(file, "%s %" PRIu64 "\n", fields[i].name, value);
	}
	for (size_t i = 0; i < record->kill_count; i++)
		(void)fprintf(file, "kill %" PRIu32 "\n", record->kill_ms[i]);
	for (size_t i = 0; i < record->sample_count; i++) {
		const struct record_sample *sample = &record->samples[i];

		(void)fprintf(
			file, "sample %" PRIu32 " %" PRIu64, sample->at_ms, sample->current_bytes);
		for (unsigned j = 0; j < SCHEDULE_WORKERS; j++)
			(void)fprintf(file, " %" PRIu64, sample->live_bytes[j]);
		(void)fputc('\n', file);
	}
	if (ferror(file))
		rc = -EIO;
	if (fclose(file) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int record_load_sample(struct record *record, char *text)
{
	struct record_sample sample = {.at_ms = (uint32_t)strtoul(text, &text, 10)};

	sample.current_bytes = strtoull(text, &text, 10);
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++) {
		if (*text != ' ')
			return -EPROTO;
		sample.live_bytes[i] = strtoull(text, &text, 10);
	}
	return record_sample(record, &sample);
}

static int record_load_line(struct record *record, char *line)
{
	char *value = strchr(line, ' ');
	uint64_t number;

	line[strcspn(line, "\n")] = '\0';
	if (!value)
		return -EPROTO;
	*value++ = '\0';
	if (strcmp(line, "sample") == 0)
		return record_load_sample(record, value);
	number = strtoull(value, NULL, 10);
	if (strcmp(line, "run") == 0) {
		(void)snprintf(record->name, sizeof(record->name), "%s", value);
		return 0;
	}
	if (strcmp(line, "kill") == 0) {
		record_kill(record, (uint32_t)number);
		return 0;
	}
	for (size_t i = 0; i < FIELDS; i++) {
		if (strcmp(line, fields[i].name) == 0) {
			memcpy((char *)&record->totals + fields[i].offset, &number, sizeof(number));
			return 0;
		}
	}
	return -EPROTO;
}

int record_load(struct record *record, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];
	int rc = 0;

	if (!file)
		return -errno;
	while (rc == 0 && fgets(line, sizeof(line), file))
		rc = record_load_line(record, line);
	if (rc == 0 && (ferror(file) || record->sample_count == 0))
		rc = -EPROTO;
	(void)fclose(file);
	return rc;
}

void record_free(struct record *record)
{
	free(record->samples);
	*record = (struct record){0};
}
