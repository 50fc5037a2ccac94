#ifndef SUPERVISOR_CLIENT_TOP_DRAW_H
#define SUPERVISOR_CLIENT_TOP_DRAW_H

#include <stdbool.h>

#include "supervisor/client/top_model.h"

/* What is shown below the services. */
enum top_pane { TOP_PANE_NONE, TOP_PANE_LOG, TOP_PANE_SERVICE };

struct top_view {
	enum top_pane pane;
	bool is_utf8;
	const char *message; /* of the last line; "" = the keys */
	size_t first;        /* the service in the first line of the list; kept by top_draw */
};

/* Before the first: colours, where the terminal has some. */
void top_draw_init(void);

/* All of the screen anew, in the size that it has now. */
void top_draw(const struct top *top, struct top_view *view);

#endif
