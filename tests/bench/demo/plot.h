#ifndef TESTS_BENCH_DEMO_PLOT_H
#define TESTS_BENCH_DEMO_PLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "tests/bench/demo/record.h"

/*
 * memory.current over time against the limit, a panel for each run, all panels on
 * the same two scales.
 */

struct plot {
	const char *title;
	const struct record *record;
};

/* 80 columns of text.  glyphs: block characters, else plain ASCII. */
void plot_text(FILE *file, const struct plot *plots, size_t count, bool glyphs, bool colour);

/* One SVG document, readable on light and on dark ground. */
void plot_svg(FILE *file, const struct plot *plots, size_t count);

#endif
