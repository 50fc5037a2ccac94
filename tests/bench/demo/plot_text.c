#include "tests/bench/demo/plot.h"

#include <inttypes.h>

#define COLUMNS 72U
#define ROWS 13U
#define EIGHTHS 8U
#define MIB ((uint64_t)1 << 20)

#define RED "\033[31m"
#define BLUE "\033[34m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static const char *const blocks[EIGHTHS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

struct column {
	uint64_t current_bytes; /* the highest within the column's time */
	uint64_t live_bytes;
	unsigned kills;
	bool any;
};

struct panel {
	struct column columns[COLUMNS];
	uint64_t limit_bytes;
	uint64_t scale_bytes; /* what ROWS rows stand for */
	uint64_t length_ms;
	bool glyphs;
	bool colour;
};

static size_t panel_column(const struct panel *panel, uint64_t at_ms)
{
	size_t column = (size_t)(at_ms * COLUMNS / (panel->length_ms + 1));

	return column < COLUMNS ? column : COLUMNS - 1;
}

static void panel_fill(struct panel *panel, const struct record *record)
{
	for (size_t i = 0; i < record->sample_count; i++) {
		const struct record_sample *sample = &record->samples[i];
		struct column *column = &panel->columns[panel_column(panel, sample->at_ms)];
		uint64_t live = 0;

		for (unsigned j = 0; j < SCHEDULE_WORKERS; j++)
			live += sample->live_bytes[j];
		if (sample->current_bytes > column->current_bytes)
			column->current_bytes = sample->current_bytes;
		if (live > column->live_bytes)
			column->live_bytes = live;
		column->any = true;
	}
	for (size_t i = 0; i < record->kill_count; i++)
		panel->columns[panel_column(panel, record->kill_ms[i])].kills++;
}

static void panel_put(FILE *file, const struct panel *panel, const char *colour, const char *glyph)
{
	if (panel->colour)
		(void)fprintf(file, "%s%s%s", colour, glyph, PLAIN);
	else
		(void)fputs(glyph, file);
}

/* row counts from the bottom, which is 0. */
static void panel_cell(FILE *file, const struct panel *panel, unsigned column_index, unsigned row)
{
	static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
	const struct column *column = &panel->columns[column_index];
	uint64_t row_bytes = panel->scale_bytes / ROWS;
	uint64_t bottom = row * row_bytes;
	uint64_t limit_row = panel->limit_bytes / row_bytes;
	uint64_t eighths = 0;

	if (column->current_bytes > bottom)
		eighths = (column->current_bytes - bottom) * EIGHTHS / row_bytes;
	if (eighths > EIGHTHS)
		eighths = EIGHTHS;
	if (column->kills > 1 && row == limit_row)
		panel_put(file, panel, BOLD RED, digits[column->kills < 9 ? column->kills : 9]);
	else if (column->kills == 1 && row == limit_row)
		panel_put(file, panel, BOLD RED, panel->glyphs ? "✗" : "X");
	else if (column->any && column->live_bytes / row_bytes == row)
		panel_put(file, panel, BOLD, panel->glyphs ? "●" : "o");
	else if (row == limit_row)
		panel_put(file, panel, RED, panel->glyphs ? "╌" : "-");
	else
		panel_put(file, panel, BLUE,
			panel->glyphs ? blocks[eighths] : (eighths >= EIGHTHS / 2 ? "#" : " "));
}

static void panel_print(FILE *file, const struct panel *panel)
{
	uint64_t row_bytes = panel->scale_bytes / ROWS;

	for (unsigned row = ROWS; row-- > 0;) {
		uint64_t label = row * row_bytes / MIB;

		if (row == panel->limit_bytes / row_bytes)
			(void)fprintf(file, " %4" PRIu64 " ", panel->limit_bytes / MIB);
		else if (row % 3 == 0)
			(void)fprintf(file, " %4" PRIu64 " ", label);
		else
			(void)fputs("      ", file);
		(void)fputs(panel->glyphs ? "│" : "|", file);
		for (unsigned i = 0; i < COLUMNS; i++)
			panel_cell(file, panel, i, row);
		(void)fputc('\n', file);
	}
	(void)fputs("  MiB ", file);
	(void)fputs(panel->glyphs ? "└" : "+", file);
	for (unsigned i = 0; i < COLUMNS; i++)
		(void)fputs(panel->glyphs ? "─" : "-", file);
	(void)fprintf(file, "\n       0 s%*s%" PRIu64 " s\n", (int)COLUMNS - 7, "",
		(panel->length_ms + 999) / 1000);
}

void plot_text(FILE *file, const struct plot *plots, size_t count, bool glyphs, bool colour)
{
	uint64_t length_ms = 1;

	for (size_t i = 0; i < count; i++)
		if (plots[i].record->totals.elapsed_ms > length_ms)
			length_ms = plots[i].record->totals.elapsed_ms;
	for (size_t i = 0; i < count; i++) {
		struct panel panel = {
			.limit_bytes = plots[i].record->totals.limit_bytes,
			.length_ms = length_ms,
			.glyphs = glyphs,
			.colour = colour,
		};

		/* One row above the limit; the limit is a row of its own. */
		panel.scale_bytes = panel.limit_bytes / (ROWS - 1) * ROWS;
		panel_fill(&panel, plots[i].record);
		(void)fprintf(file, "%s\n", plots[i].title);
		panel_print(file, &panel);
	}
	(void)fprintf(file, glyphs ? "  █ memory.current   ● live bytes of all workers   "
				     "╌ the limit   ✗ killed by the kernel, or how many\n"
				   : "  # memory.current   o live bytes of all workers   "
				     "- the limit   X killed by the kernel, or how many\n");
}
