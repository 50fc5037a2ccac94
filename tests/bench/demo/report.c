/*
 * Sets two runs of the demo side by side: a table, a plot for the terminal, an SVG
 * file, and the verdict as the exit status.
 *
 * usage: report PLAIN.record SPILLWAY.record MEMORY.svg
 *
 * 0: the plain run was OOM-killed and the one under spillway neither was nor
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

static void table_print(const struct record *plain, const struct record *spillway)
{
	(void)printf("%-34s %18s %18s\n", "", plain->name, spillway->name);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char left[CELL_BYTES];
		char right[CELL_BYTES];

		cell_print(left, &rows[i], plain);
		cell_print(right, &rows[i], spillway);
		(void)printf("%-34s %18s %18s\n", rows[i].title, left, right);
	}
	if (plain->totals.objects_lost > 0)
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

static bool verdict(const struct record *plain, const struct record *spillway)
{
	bool holds = run_holds(plain);

	holds &= run_holds(spillway);
	holds &= expect(spillway->totals.schedule_ms >= spillway->totals.schedule_needed_ms,
		"%s was too slow: not every worker had its turn in the time there is",
		spillway->name);
	holds &= expect(plain->totals.kills > 0, "%s was never OOM-killed", plain->name);
	holds &= expect(spillway->totals.kills == 0, "%s was OOM-killed %" PRIu64 " times",
		spillway->name, spillway->totals.kills);
	holds &= expect(spillway->totals.lost == 0, "%s lost %" PRIu64 " requests", spillway->name,
		spillway->totals.lost);
	return holds;
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
	static struct record records[2];
	struct plot plots[2] = {{.record = &records[0]}, {.record = &records[1]}};
	bool holds;
	int rc = 0;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: report PLAIN.record SPILLWAY.record MEMORY.svg\n");
		return 2;
	}
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		rc = record_load(&records[i], argv[i + 1]);
		plots[i].title = records[i].name;
		if (rc < 0)
			(void)fprintf(stderr, "report: %s: %s\n", argv[i + 1], strerror(-rc));
	}
	if (rc < 0)
		return 2;
	plot_text(stdout, plots, 2, locale_has_glyphs(),
		isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	(void)putchar('\n');
	table_print(&records[0], &records[1]);
	(void)putchar('\n');
	rc = svg_save(argv[3], plots, 2);
	if (rc < 0)
		(void)fprintf(stderr, "report: %s: %s\n", argv[3], strerror(-rc));
	else
		(void)printf("The picture: %s\n", argv[3]);
	holds = verdict(&records[0], &records[1]);
	if (holds)
		(void)printf("It holds: %s was OOM-killed %" PRIu64 " times and lost %" PRIu64
			     " requests; %s was not and lost none.\n",
			records[0].name, records[0].totals.kills, records[0].totals.lost,
			records[1].name);
	record_free(&records[0]);
	record_free(&records[1]);
	return holds && rc == 0 ? 0 : 1;
}
