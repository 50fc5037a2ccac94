#include "tests/bench/demo/plot.h"

#include <inttypes.h>

#define MIB ((uint64_t)1 << 20)
#define WIDTH 1000.0
#define LEFT 62.0
#define RIGHT 24.0
#define TOP 92.0
#define PANEL_HEIGHT 230.0
#define PANEL_GAP 78.0
#define BOTTOM 58.0
#define TICK_MIB 64U
#define KILL_STEP 14.0

/* Plain rules twice instead of custom properties, which not every viewer knows. */
static const char style[] =
	"<style>\n"
	"svg{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:13px}"
	".title{font-size:19px;font-weight:600}.panel{font-size:15px;font-weight:600}"
	".limit-text{font-weight:600}"
	".grid,.axis{stroke-width:1}.limit,.used,.kill{fill:none}"
	".limit{stroke-width:1.5;stroke-dasharray:7 4}"
	".used{stroke-width:1.8;stroke-linejoin:round}"
	".kill{stroke-width:2.4;stroke-linecap:round}"
	".idle{fill-opacity:.14}\n"
	".ground{fill:#ffffff}text{fill:#1d232b}text.soft{fill:#5c6773}"
	".grid{stroke:#e3e7eb}.axis{stroke:#5c6773}"
	".limit,.kill{stroke:#c62828}text.limit-text{fill:#c62828}"
	".used{stroke:#1f6fb2}.idle{fill:#1f6fb2}"
	".w0{fill:#0f8a6c}.w1{fill:#4aa98f}.w2{fill:#7fc4b0}.w3{fill:#b3ddd0}\n"
	"@media (prefers-color-scheme:dark){"
	".ground{fill:#14181d}text{fill:#e6eaee}text.soft{fill:#9aa6b2}"
	".grid{stroke:#2b323a}.axis{stroke:#9aa6b2}"
	".limit,.kill{stroke:#ff6b6b}text.limit-text{fill:#ff6b6b}"
	".used{stroke:#6fb4ec}.idle{fill:#6fb4ec}"
	".w0{fill:#2f9c80}.w1{fill:#27806a}.w2{fill:#1f6655}.w3{fill:#184c40}}\n"
	"</style>\n";

struct frame {
	double top;
	double bottom;
	double x_per_ms;
	double y_per_byte;
	uint64_t length_ms;
	uint64_t limit_bytes;
};

static double frame_x(const struct frame *frame, uint64_t at_ms)
{
	return LEFT + (double)at_ms * frame->x_per_ms;
}

static double frame_y(const struct frame *frame, uint64_t bytes)
{
	return frame->bottom - (double)bytes * frame->y_per_byte;
}

/* What the first workers hold together. */
static uint64_t live_below(const struct record_sample *sample, unsigned workers)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < workers; i++)
		sum += sample->live_bytes[i];
	return sum;
}

static void svg_grid(FILE *file, const struct frame *frame)
{
	unsigned step_s = frame->length_ms > 60000 ? 10 : 5;

	for (uint64_t mib = 0; mib * MIB <= frame->limit_bytes; mib += TICK_MIB) {
		double y = frame_y(frame, mib * MIB);

		(void)fprintf(file,
			"<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%" PRIu64
			"</text>\n",
			mib == 0 ? "axis" : "grid", LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4.5,
			mib);
	}
	for (uint64_t s = 0; s * 1000 <= frame->length_ms; s += step_s) {
		double x = frame_x(frame, s * 1000);

		(void)fprintf(file,
			"<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%" PRIu64
			"%s</text>\n",
			x, x, frame->bottom, frame->bottom + 5, x, frame->bottom + 20, s,
			s == 0 ? " s" : "");
	}
	(void)fprintf(file,
		"<text class=\"soft\" text-anchor=\"middle\" transform=\"translate(18 %.1f) "
		"rotate(-90)\">MiB</text>\n",
		(frame->top + frame->bottom) / 2);
}

/* A filled band between two heights, given as how many workers to add up;
 * SCHEDULE_WORKERS + 1 stands for memory.current. */
static void svg_band(FILE *file, const struct frame *frame, const struct record *record,
	unsigned low, unsigned high, const char *class)
{
	(void)fprintf(file, "<path class=\"%s\" d=\"", class);
	for (size_t i = 0; i < record->sample_count; i++) {
		const struct record_sample *sample = &record->samples[i];
		uint64_t bytes =
			high > SCHEDULE_WORKERS ? sample->current_bytes : live_below(sample, high);

		(void)fprintf(file, "%c%.1f %.1f", i == 0 ? 'M' : 'L',
			frame_x(frame, sample->at_ms), frame_y(frame, bytes));
	}
	for (size_t i = record->sample_count; i-- > 0;) {
		const struct record_sample *sample = &record->samples[i];

		(void)fprintf(file, "L%.1f %.1f", frame_x(frame, sample->at_ms),
			frame_y(frame, live_below(sample, low)));
	}
	(void)fputs("Z\"/>\n", file);
}

static void svg_current(FILE *file, const struct frame *frame, const struct record *record)
{
	(void)fputs("<path class=\"used\" d=\"", file);
	for (size_t i = 0; i < record->sample_count; i++)
		(void)fprintf(file, "%c%.1f %.1f", i == 0 ? 'M' : 'L',
			frame_x(frame, record->samples[i].at_ms),
			frame_y(frame, record->samples[i].current_bytes));
	(void)fputs("\"/>\n", file);
}

static void svg_limit_and_kills(FILE *file, const struct frame *frame, const struct record *record)
{
	double y = frame_y(frame, frame->limit_bytes);
	double up = 0;

	(void)fprintf(file,
		"<path class=\"limit\" d=\"M%.1f %.1fH%.1f\"/>"
		"<text class=\"limit-text\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">limit "
		"%" PRIu64 " MiB</text>\n",
		LEFT, y, WIDTH - RIGHT, WIDTH - RIGHT, y - 8, frame->limit_bytes / MIB);
	for (size_t i = 0; i < record->kill_count; i++) {
		double x = frame_x(frame, record->kill_ms[i]);

		/* Those of one moment stand above each other, or they would look like one. */
		up = i > 0 && record->kill_ms[i] == record->kill_ms[i - 1] ? up + KILL_STEP : 0;
		(void)fprintf(file,
			"<path class=\"kill\" d=\"M%.1f %.1fl10 10m0 -10l-10 10\">"
			"<title>killed by the kernel at %.1f s</title></path>\n",
			x - 5, y - 5 - up, record->kill_ms[i] / 1000.0);
	}
}

static void svg_panel(FILE *file, const struct frame *frame, const struct plot *plot)
{
	static const char *const classes[SCHEDULE_WORKERS] = {"w0", "w1", "w2", "w3"};
	const struct record_totals *totals = &plot->record->totals;

	(void)fprintf(file,
		"<text class=\"panel\" x=\"%.1f\" y=\"%.1f\">%s</text>"
		"<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">OOM kills: %" PRIu64
		" · requests lost: %" PRIu64 " of %" PRIu64 " · peak %" PRIu64 " MiB, mean %" PRIu64
		" MiB</text>\n",
		LEFT, frame->top - 16, plot->title, WIDTH - RIGHT, frame->top - 16, totals->kills,
		totals->lost, totals->lost + totals->served, totals->current_peak_bytes / MIB,
		totals->current_mean_bytes / MIB);
	svg_grid(file, frame);
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		svg_band(file, frame, plot->record, i, i + 1, classes[i]);
	svg_band(file, frame, plot->record, SCHEDULE_WORKERS, SCHEDULE_WORKERS + 1, "idle");
	svg_current(file, frame, plot->record);
	svg_limit_and_kills(file, frame, plot->record);
}

static void svg_legend(FILE *file)
{
	double y = 52;

	(void)fprintf(file,
		"<path class=\"used\" d=\"M%.1f %.1fh26\"/><text x=\"%.1f\" y=\"%.1f\">"
		"memory.current</text>\n",
		LEFT, y - 4.5, LEFT + 34, y);
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		(void)fprintf(file,
			"<rect class=\"w%u\" x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"12\"/>", i,
			LEFT + 168 + 9 * i, y - 11);
	(void)fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">live bytes of the four workers</text>\n",
		LEFT + 212, y);
	(void)fprintf(file,
		"<rect class=\"idle\" x=\"%.1f\" y=\"%.1f\" width=\"26\" height=\"12\"/>"
		"<text x=\"%.1f\" y=\"%.1f\">freed, but still held</text>\n",
		LEFT + 424, y - 11, LEFT + 458, y);
	(void)fprintf(file,
		"<path class=\"kill\" d=\"M%.1f %.1fl10 10m0 -10l-10 10\"/>"
		"<text x=\"%.1f\" y=\"%.1f\">a worker killed by the kernel</text>\n",
		LEFT + 610, y - 10, LEFT + 628, y);
}

void plot_svg(FILE *file, const struct plot *plots, size_t count)
{
	double height = TOP + (double)count * (PANEL_HEIGHT + PANEL_GAP) - PANEL_GAP + BOTTOM;
	uint64_t length_ms = 1;

	for (size_t i = 0; i < count; i++)
		if (plots[i].record->totals.elapsed_ms > length_ms)
			length_ms = plots[i].record->totals.elapsed_ms;
	(void)fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
		"aria-label=\"Memory use over time against the limit\">\n",
		WIDTH, height);
	(void)fputs(style, file);
	(void)fprintf(file,
		"<rect class=\"ground\" width=\"%.0f\" height=\"%.0f\"/>"
		"<text class=\"title\" x=\"%.1f\" y=\"28\">Four workers under one limit: what they "
		"use, and what they are charged for</text>\n",
		WIDTH, height, LEFT);
	svg_legend(file);
	for (size_t i = 0; i < count; i++) {
		struct frame frame = {
			.top = TOP + 28 + (double)i * (PANEL_HEIGHT + PANEL_GAP),
			.length_ms = length_ms,
			.limit_bytes = plots[i].record->totals.limit_bytes,
		};

		frame.bottom = frame.top + PANEL_HEIGHT - 28;
		frame.x_per_ms = (WIDTH - LEFT - RIGHT) / (double)length_ms;
		frame.y_per_byte = (PANEL_HEIGHT - 28) / ((double)frame.limit_bytes * 1.1);
		svg_panel(file, &frame, &plots[i]);
	}
	(void)fputs("</svg>\n", file);
}
