#ifndef SUPERVISOR_CLIENT_TOP_MODEL_H
#define SUPERVISOR_CLIENT_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/*
 * What `spillctl top` knows: the last status, what came before it, and what is chosen.  No terminal
 * and no socket.
 *
 * Services are known by their names, so that a choice and a history stay with theirs while a
 * reload moves them.
 */

#define TOP_NAME_BYTES 64
#define TOP_HISTORY 60U
#define TOP_LINES 200U

/* What memory is used for; the rest up to the end of the bar is free. */
struct top_bar {
	uint64_t live_bytes;
	uint64_t idle_bytes;
	uint64_t lazy_bytes;
	uint64_t other_bytes;
	uint64_t end_bytes; /* what a full bar stands for; never less than the sum, never 0 */
	bool is_limit;      /* that is a limit */
};

struct top_service {
	char name[TOP_NAME_BYTES];
	char state[16];
	char level[8];
	bool lives;
	uint64_t released_bytes;
	uint64_t restarts;
	struct top_bar bar;
	uint64_t used[TOP_HISTORY]; /* bytes, oldest first */
	size_t used_count;
	json_t *status; /* as it came; owned */
};

struct top {
	struct top_service *service; /* in the supervisor's order */
	size_t count;
	size_t chosen; /* below count, where there is any */
	char head[256];
	struct top_bar shared;
	char *line[TOP_LINES]; /* of the log, oldest first */
	size_t line_count;
};

/* Takes over what /v1/status says, whose reference stays the caller's.  false: it is none, or there
 * is no memory; nothing has changed. */
bool top_take(struct top *top, const json_t *status);

/* A line of the log; the oldest goes where there are too many. */
void top_add_line(struct top *top, const json_t *event);

/* Up or down by so many, within what there is. */
void top_choose(struct top *top, int by);

/* NULL = there are no services. */
const struct top_service *top_chosen(const struct top *top);

/* Divides cells of a bar: how many are live, idle, lazy and other.  Whatever is not nothing has a
 * cell where there are enough of them. */
struct top_cells {
	size_t live;
	size_t idle;
	size_t lazy;
	size_t other;
};

struct top_cells top_cells(const struct top_bar *bar, size_t cells);

/* The last `count` of what was used, from 0 to 7 for the most among them. */
size_t top_trend(const struct top_service *service, unsigned char *steps, size_t count);

void top_free(struct top *top);

#endif
