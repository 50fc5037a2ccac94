/*
 * Sets two or three runs of the demo side by side: a table, a plot for the terminal, an SVG
 * file, and the verdict as the exit status.
 *
 * usage: report PLAIN.record SPILLWAY.record... MEMORY.svg
 *
 * 0: the plain run was OOM-killed and none of those with spillway was or
 * lost a request.  1: it was otherwise.  2: usage or unreadable records.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tests/bench/demo/plot.h"
#include "tests/bench/demo/record.h"

#define MIB ((uint64_t)1 << 20)
#define CELL_BYTES 32
#define RUNS_MAX 3

enum unit { UNIT_COUNT, UNIT_MIB, UNIT_US, UNIT_MS };

/* levels: a number that only a run under spillway has. */
static const struct row {
	const char *title;
	size_t offset;
	enum unit unit;
	bool levels;
} rows[] = {
	{"OOM kills", offsetof(struct record_totals, kills), UNIT_COUNT, false},
	{"restarts of a worker", offsetof(struct record_totals, restarts), UNIT_COUNT, false},
	{"requests served", offsetof(struct record_totals, served), UNIT_COUNT, false},
	{"requests lost", offsetof(struct record_totals, lost), UNIT_COUNT, false},
	{"  of these, answered wrongly", offsetof(struct record_totals, wrong), UNIT_COUNT, false},
	{"stored objects lost", offsetof(struct record_totals, objects_lost), UNIT_COUNT, false},
	{"latency p50", offsetof(struct record_totals, latency_p50_us), UNIT_US, false},
	{"latency p99", offsetof(struct record_totals, latency_p99_us), UNIT_US, false},
	{"latency max", offsetof(struct record_totals, latency_max_us), UNIT_US, false},
	{"live bytes of all workers, peak", offsetof(struct record_totals, live_peak_bytes),
		UNIT_MIB, false},
	{"memory.current peak", offsetof(struct record_totals, current_peak_bytes), UNIT_MIB,
		false},
	{"memory.current mean", offsetof(struct record_totals, current_mean_bytes), UNIT_MIB,
		false},
	{"schedule done", offsetof(struct record_totals, schedule_ms), UNIT_MS, false},
	{"time needed for it", offsetof(struct record_totals, elapsed_ms), UNIT_MS, false},
	{"returned in the background", offsetof(struct record_totals, released_background_bytes),
		UNIT_MIB, true},
	{"returned for growth", offsetof(struct record_totals, released_growth_bytes), UNIT_MIB,
		true},
	{"returned at level lazy", offsetof(struct record_totals, released_lazy_bytes), UNIT_MIB,
		true},
	{"returned at level eager", offsetof(struct record_totals, released_eager_bytes), UNIT_MIB,
		true},
	{"returned at level full", offsetof(struct record_totals, released_full_bytes), UNIT_MIB,
		true},
};

static void cell_print(char cell[CELL_BYTES], const struct row *row, const struct record *record)
{
	uint64_t value;

	memcpy(&value, (const char *)&record->totals + row->offset, sizeof(value));
	switch (row->unit) {
	case UNIT_COUNT:
		(void)snprintf(cell, CELL_BYTES, "%" PRIu64, value);
		break;
	case UNIT_MIB:
		(void)snprintf(cell, CELL_BYTES, "%.1f MiB", (double)value / MIB);
		break;
	case UNIT_US:
		if (value < 10000)
			(void)snprintf(cell, CELL_BYTES, "%" PRIu64 " us", value);
		else
			(void)snprintf(cell, CELL_BYTES, "%.1f ms", (double)value / 1000);
		break;
	case UNIT_MS:
		(void)snprintf(cell, CELL_BYTES, "%.1f s", (double)value / 1000);
		break;
	}
	if (row->levels && !record->totals.supervised)
		(void)snprintf(cell, CELL_BYTES, "-");
}

static void table_print(const struct record *records, size_t count)
{
	(void)printf("%-34s", "");
	for (size_t r = 0; r < count; r++)
		(void)printf(" %18s", records[r].name);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)printf("\n%-34s", rows[i].title);
		for (size_t r = 0; r < count; r++) {
			char cell[CELL_BYTES];

			cell_print(cell, &rows[i], &records[r]);
			(void)printf(" %18s", cell);
		}
	}
	(void)putchar('\n');
	if (records[0].totals.objects_lost > 0)
		(void)printf(
			"Requests served include those that filled restarted workers again.\n");
}

/* Prints what is not as it should be; returns whether it is. */
static bool expect(bool holds, const char *format, ...)
{
	va_list arguments;

	if (holds)
		return true;
	(void)printf("does not hold: ");
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
	return false;
}

static bool run_holds(const struct record *record)
{
	const struct record_totals *totals = &record->totals;
	bool holds = expect(totals->live_peak_bytes <= SCHEDULE_SUM_BYTES_MAX,
		"%s held %" PRIu64 " MiB of live bytes, more than the schedule says", record->name,
		totals->live_peak_bytes / MIB);

	holds &= expect(totals->wrong == 0, "%s gave %" PRIu64 " wrong answers", record->name,
		totals->wrong);
	holds &= expect(totals->clean_exit, "%s did not end cleanly when asked to", record->name);
	return holds;
}

static bool survivor_holds(const struct record *spillway)
{
	bool holds = run_holds(spillway);

	holds &= expect(spillway->totals.schedule_ms >= spillway->totals.schedule_needed_ms,
		"%s was too slow: not every worker had its turn in the time there is",
		spillway->name);
	holds &= expect(spillway->totals.kills == 0, "%s was OOM-killed %" PRIu64 " times",
		spillway->name, spillway->totals.kills);
	holds &= expect(spillway->totals.lost == 0, "%s lost %" PRIu64 " requests", spillway->name,
		spillway->totals.lost);
	return holds;
}

static bool verdict(const struct record *records, size_t count)
{
	const struct record *plain = &records[0];
	bool holds = run_holds(plain);

	for (size_t i = 1; i < count; i++)
		holds &= survivor_holds(&records[i]);
	holds &= expect(plain->totals.kills > 0, "%s was never OOM-killed", plain->name);
	if (!holds)
		return false;
	(void)printf("It holds: %s was OOM-killed %" PRIu64 " times and lost %" PRIu64 " requests;",
		plain->name, plain->totals.kills, plain->totals.lost);
	for (size_t i = 1; i < count; i++)
		(void)printf("%s %s", i > 1 ? " and" : "", records[i].name);
	(void)printf(" %s not and lost none.\n", count > 2 ? "were" : "was");
	return true;
}

/* Block characters, unless the locale says that the terminal does not know them. */
static bool locale_has_glyphs(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return true;
}

static int svg_save(const char *path, const struct plot *plots, size_t count)
{
	FILE *file = fopen(path, "we");
	int rc = 0;

	if (!file)
		return -errno;
	plot_svg(file, plots, count);
	if (ferror(file))
		rc = -EIO;
	if (fclose(file) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

int main(int argc, char **argv)
{
	static struct record records[RUNS_MAX];
	struct plot plots[RUNS_MAX];
	size_t count = (size_t)argc - 2;
	bool holds;
	int rc = 0;

	if (argc < 4 || count > RUNS_MAX) {
		(void)fprintf(stderr, "usage: report PLAIN.record SPILLWAY.record... MEMORY.svg\n");
		return 2;
	}
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = record_load(&records[i], argv[i + 1]);
		plots[i] = (struct plot){.title = records[i].name, .record = &records[i]};
		if (rc < 0)
			(void)fprintf(stderr, "report: %s: %s\n", argv[i + 1], strerror(-rc));
	}
	if (rc < 0)
		return 2;
	plot_text(stdout, plots, count, locale_has_glyphs(),
		isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	(void)putchar('\n');
	table_print(records, count);
	(void)putchar('\n');
	rc = svg_save(argv[argc - 1], plots, count);
	if (rc < 0)
		(void)fprintf(stderr, "report: %s: %s\n", argv[argc - 1], strerror(-rc));
	else
		(void)printf("The picture: %s\n", argv[argc - 1]);
	holds = verdict(records, count);
	for (size_t i = 0; i < count; i++)
		record_free(&records[i]);
	return holds && rc == 0 ? 0 : 1;
}
