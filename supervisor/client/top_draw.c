/* Draws what spillctl top knows. */
#include "supervisor/client/top_draw.h"

#include <stdio.h>
#include <string.h>

#include <ncurses.h>

#include "supervisor/base/size.h"

/* Columns: the bar and the name have what the others leave. */
#define STATE_WIDTH 8
#define LEVEL_WIDTH 5
#define USE_WIDTH 14 /* "512.0M/1023.9M" */
#define BACK_WIDTH 7
#define STARTS_WIDTH 3
#define TREND_WIDTH 8
#define TREND_MOST 40
#define NAME_LEAST 8
#define NAME_MOST 32
#define BAR_LEAST 10
#define HEAD_LINES 4
#define ROWS_LEAST 3
#define SHARED_LABEL 8 /* "all     " */

enum colour { COLOUR_LIVE = 1, COLOUR_IDLE, COLOUR_LAZY, COLOUR_OTHER, COLOUR_BAD };

struct columns {
	int name;
	int bar;
	int trend;
};

static int least(int a, int b)
{
	return a < b ? a : b;
}

void top_draw_init(void)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(COLOUR_LIVE, COLOR_GREEN, -1);
	init_pair(COLOUR_IDLE, COLOR_YELLOW, -1);
	init_pair(COLOUR_LAZY, COLOR_BLUE, -1);
	init_pair(COLOUR_OTHER, COLOR_WHITE, -1);
	init_pair(COLOUR_BAD, COLOR_RED, -1);
}

static chtype painted(enum colour colour)
{
	return has_colors() ? (chtype)COLOR_PAIR(colour) : 0;
}

static struct columns divide(const struct top *top, int width)
{
	struct columns columns = {.name = NAME_LEAST, .trend = TREND_WIDTH};
	for (size_t i = 0; i < top->count; i++)
		if ((int)strlen(top->service[i].name) > columns.name)
			columns.name = least((int)strlen(top->service[i].name), NAME_MOST);
	int rest = width - STATE_WIDTH - LEVEL_WIDTH - USE_WIDTH - BACK_WIDTH - STARTS_WIDTH -
		   TREND_WIDTH - 7;
	columns.name =
		least(columns.name, rest - BAR_LEAST > NAME_LEAST ? rest - BAR_LEAST : NAME_LEAST);
	columns.bar = rest - columns.name > BAR_LEAST ? rest - columns.name : BAR_LEAST;
	/* A wide screen shows more of the past. */
	int spare = columns.bar / 3;
	if (columns.bar > 3 * BAR_LEAST) {
		columns.trend = least(TREND_WIDTH + spare, TREND_MOST);
		columns.bar -= columns.trend - TREND_WIDTH;
	}
	return columns;
}

static void put_cells(size_t count, char sign, enum colour colour)
{
	attron(painted(colour));
	for (size_t i = 0; i < count; i++)
		addch((chtype)sign);
	attroff(painted(colour));
}

static void put_bar(const struct top_bar *bar, int width)
{
	size_t cells = width > 2 ? (size_t)width - 2 : 0;
	struct top_cells parts = top_cells(bar, cells);
	addch('[');
	put_cells(parts.live, '#', COLOUR_LIVE);
	put_cells(parts.idle, '=', COLOUR_IDLE);
	put_cells(parts.lazy, '-', COLOUR_LAZY);
	put_cells(parts.other, ':', COLOUR_OTHER);
	put_cells(cells - parts.live - parts.idle - parts.lazy - parts.other, ' ', COLOUR_OTHER);
	addch(']');
}

static void put_trend(const struct top_service *service, int width, bool is_utf8)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const plain[] = {"_", ".", ",", "-", "~", "=", "+", "#"};
	unsigned char steps[TOP_HISTORY];
	size_t count = top_trend(service, steps, (size_t)width);
	for (int i = (int)count; i < width; i++)
		addch(' ');
	for (size_t i = 0; i < count; i++)
		addstr((is_utf8 ? blocks : plain)[steps[i]]);
}

static uint64_t used_of(const struct top_bar *bar)
{
	return bar->live_bytes + bar->idle_bytes + bar->lazy_bytes + bar->other_bytes;
}

static void use_text(char *text, size_t size, const struct top_bar *bar)
{
	if (bar->is_limit)
		snprintf(text, size, "%s/%s", size_text(used_of(bar)).text,
			size_text(bar->end_bytes).text);
	else
		snprintf(text, size, "%s", size_text(used_of(bar)).text);
}

static void put_service(const struct top_service *service, const struct columns *columns,
	bool is_chosen, bool is_utf8)
{
	char use[40];
	use_text(use, sizeof use, &service->bar);
	bool is_calm = strcmp(service->level, "calm") == 0;
	if (is_chosen)
		attron(A_REVERSE);
	printw("%-*.*s", columns->name, columns->name, service->name);
	if (is_chosen)
		attroff(A_REVERSE);
	attron(service->lives ? 0 : painted(COLOUR_BAD));
	printw(" %-*.*s", STATE_WIDTH, STATE_WIDTH, service->state);
	attroff(service->lives ? 0 : painted(COLOUR_BAD));
	attron(is_calm ? 0 : A_BOLD);
	printw(" %-*.*s ", LEVEL_WIDTH, LEVEL_WIDTH, service->level);
	attroff(is_calm ? 0 : A_BOLD);
	put_bar(&service->bar, columns->bar);
	printw(" %*.*s ", USE_WIDTH, USE_WIDTH, use);
	put_trend(service, columns->trend, is_utf8);
	printw(" %*s %*llu", BACK_WIDTH, size_text(service->released_bytes).text, STARTS_WIDTH,
		(unsigned long long)service->restarts);
}

static void put_head(const struct top *top, const struct columns *columns, int width)
{
	char use[40];
	mvprintw(0, 0, "%.*s", width, top->head);
	use_text(use, sizeof use, &top->shared);
	mvprintw(1, 0, "%-*s", SHARED_LABEL, "all");
	put_bar(&top->shared, width - SHARED_LABEL - USE_WIDTH - 1);
	printw(" %*.*s", USE_WIDTH, USE_WIDTH, use);
	attron(A_BOLD);
	mvprintw(HEAD_LINES - 1, 0, "%-*.*s %-*s %-*s %-*.*s %*s %-*.*s %*s %*s", columns->name,
		columns->name, "SERVICE", STATE_WIDTH, "STATE", LEVEL_WIDTH, "LEVEL", columns->bar,
		columns->bar, "# live = idle - lazy : other", USE_WIDTH, "USED", columns->trend,
		columns->trend, "TREND", BACK_WIDTH, "BACK", STARTS_WIDTH, "RST");
	attroff(A_BOLD);
}

/* The chosen one is among the lines that are shown. */
static void scroll_to(const struct top *top, struct top_view *view, size_t rows)
{
	if (view->first > top->chosen)
		view->first = top->chosen;
	if (top->chosen >= view->first + rows)
		view->first = top->chosen - rows + 1;
	if (top->count <= rows)
		view->first = 0;
}

static void put_log(const struct top *top, int line, int lines, int width)
{
	size_t shown = (size_t)lines < top->line_count ? (size_t)lines : top->line_count;
	for (size_t i = 0; i < shown; i++)
		mvaddnstr(line + (int)i, 0, top->line[top->line_count - shown + i], width);
}

/* All that the supervisor says of it, one figure a line, in as many columns as there is room for.
 */
static void put_figures(const struct top_service *service, int line, int lines, int width)
{
	const char *key;
	json_t *value;
	int at = 0;
	json_object_foreach(service->status, key, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY);
		int column = at / lines * (width / 2);
		if (text != NULL && column < width) {
			move(line + at % lines, column);
			printw("%-16.16s ", key);
			addnstr(text, width / 2 - 18 > 0 ? width / 2 - 18 : 0);
		}
		free(text);
		at++;
	}
}

static void put_pane(
	const struct top *top, const struct top_view *view, int line, int lines, int width)
{
	const struct top_service *chosen = top_chosen(top);
	attron(A_BOLD);
	mvhline(line, 0, (chtype)'-', width);
	mvprintw(line, 2, " %s ",
		view->pane == TOP_PANE_LOG ? "log"
		: chosen != NULL           ? chosen->name
					   : "no service");
	attroff(A_BOLD);
	if (lines < 2)
		return;
	if (view->pane == TOP_PANE_LOG)
		put_log(top, line + 1, lines - 1, width);
	else if (chosen != NULL)
		put_figures(chosen, line + 1, lines - 1, width);
}

void top_draw(const struct top *top, struct top_view *view)
{
	int height;
	int width;
	getmaxyx(stdscr, height, width);
	erase();
	struct columns columns = divide(top, width);
	put_head(top, &columns, width);
	int room = height - HEAD_LINES - 1;
	int rows = room;
	if (view->pane != TOP_PANE_NONE && room > ROWS_LEAST + 2) {
		rows = least((int)top->count, room / 2);
		rows = rows > ROWS_LEAST ? rows : ROWS_LEAST;
		put_pane(top, view, HEAD_LINES + rows, room - rows, width);
	}
	if (rows > 0)
		scroll_to(top, view, (size_t)rows);
	for (int i = 0; i < rows && view->first + (size_t)i < top->count; i++) {
		size_t index = view->first + (size_t)i;
		move(HEAD_LINES + i, 0);
		put_service(&top->service[index], &columns, index == top->chosen, view->is_utf8);
	}
	attron(A_REVERSE);
	mvprintw(height - 1, 0, "%-*.*s", width, width,
		view->message[0] != '\0'
			? view->message
			: "up/down choose  r release  R restart  i inspect  l log  q quit");
	attroff(A_REVERSE);
	refresh();
}
