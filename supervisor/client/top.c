/* spillctl top: a live view of the services. */
#include "supervisor/client/top.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ncurses.h>

#include "supervisor/base/size.h"
#include "supervisor/client/stream.h"
#include "supervisor/client/top_draw.h"
#include "supervisor/client/top_model.h"

#define LOOK_MS 1000U
#define MESSAGE_MS 5000U
#define TARGET_BYTES 160

/* What is under way: the three answers that may come. */
enum answer { ANSWER_STATUS, ANSWER_EVENTS, ANSWER_ACTION, ANSWERS };

struct running {
	const char *path;
	struct top top;
	struct top_view view;
	struct stream answer[ANSWERS];
	uint64_t look_ms;    /* when to ask for the status again */
	uint64_t message_ms; /* until when the message stays */
	char message[160];
	char asked[TARGET_BYTES]; /* what the action is, for people */
	bool quits;
};

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

static void say(struct running *running, const char *what, const char *how)
{
	snprintf(running->message, sizeof running->message, "%s%s%s", what,
		how[0] != '\0' ? ": " : "", how);
	running->message_ms = now_ms() + MESSAGE_MS;
}

/* Asking ---------------------------------------------------------------------------- */

static void look(struct running *running)
{
	struct stream *status = &running->answer[ANSWER_STATUS];
	struct stream *events = &running->answer[ANSWER_EVENTS];
	running->look_ms = now_ms() + LOOK_MS;
	if (status->fd >= 0) {
		say(running, running->path, "no answer yet");
		return;
	}
	int error = stream_open(status, running->path, "/v1/status", NULL);
	if (error == 0 && events->fd < 0)
		error = stream_open(events, running->path, "/v1/events", NULL);
	if (error != 0)
		say(running, running->path, strerror(-error));
}

static void act(struct running *running, const char *action)
{
	const struct top_service *chosen = top_chosen(&running->top);
	struct stream *answer = &running->answer[ANSWER_ACTION];
	char target[TARGET_BYTES];
	if (chosen == NULL)
		return;
	if (answer->fd >= 0) {
		say(running, running->asked, "still under way");
		return;
	}
	snprintf(target, sizeof target, "/v1/services/%s/%s", chosen->name, action);
	snprintf(running->asked, sizeof running->asked, "%s %s", action, chosen->name);
	int error = stream_open(answer, running->path, target, json_object());
	say(running, running->asked, error == 0 ? "..." : strerror(-error));
}

/* What came ------------------------------------------------------------------------- */

static void take_status(struct running *running, const json_t *body)
{
	if (!top_take(&running->top, body))
		say(running, running->path, "no status");
}

static void take_action(struct running *running, const struct stream *answer, const json_t *body)
{
	const char *error = json_string_value(json_object_get(body, "error"));
	const json_t *services = json_object_get(body, "services");
	const json_t *bytes = json_object_get(json_array_get(services, 0), "returned_bytes");
	char text[64] = "done";
	if (error != NULL)
		snprintf(text, sizeof text, "%s", error);
	else if (answer->status != 200)
		snprintf(text, sizeof text, "failed");
	else if (bytes != NULL)
		snprintf(text, sizeof text, "returned %s",
			size_text((uint64_t)json_integer_value(bytes)).text);
	say(running, running->asked, text);
}

static void take(struct running *running, enum answer which)
{
	struct stream *answer = &running->answer[which];
	stream_read(answer);
	if (which == ANSWER_EVENTS) {
		json_t *line;
		while ((line = stream_line(answer)) != NULL) {
			top_add_line(&running->top, line);
			json_decref(line);
		}
	} else if (answer->ended) {
		json_t *body = stream_body(answer);
		if (which == ANSWER_STATUS)
			take_status(running, body);
		else
			take_action(running, answer, body);
		json_decref(body);
	}
	if (answer->ended)
		stream_close(answer);
}

/* Keys ------------------------------------------------------------------------------ */

static void show(struct running *running, enum top_pane pane)
{
	running->view.pane = running->view.pane == pane ? TOP_PANE_NONE : pane;
}

static void obey(struct running *running, int key)
{
	switch (key) {
	case 'q':
		running->quits = true;
		break;
	case KEY_UP:
	case 'k':
		top_choose(&running->top, -1);
		break;
	case KEY_DOWN:
	case 'j':
		top_choose(&running->top, 1);
		break;
	case KEY_PPAGE:
		top_choose(&running->top, -10);
		break;
	case KEY_NPAGE:
		top_choose(&running->top, 10);
		break;
	case 'r':
		act(running, "release");
		break;
	case 'R':
		act(running, "restart");
		break;
	case 'i':
	case '\n':
		show(running, TOP_PANE_SERVICE);
		break;
	case 'l':
		show(running, TOP_PANE_LOG);
		break;
	default: /* KEY_RESIZE among them: all is drawn anew anyway */
		break;
	}
}

/* A terminal that is gone has no keys any more, for ever. */
static void read_keys(struct running *running, short events)
{
	int key;
	if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0)
		running->quits = true;
	while ((key = getch()) != ERR)
		obey(running, key);
}

/* The loop -------------------------------------------------------------------------- */

static void wait_and_take(struct running *running)
{
	struct pollfd fds[ANSWERS + 1];
	uint64_t at_ms = now_ms();
	int wait_ms = running->look_ms > at_ms ? (int)(running->look_ms - at_ms) : 0;
	for (int i = 0; i < ANSWERS; i++)
		fds[i] = (struct pollfd){.fd = running->answer[i].fd, .events = POLLIN};
	fds[ANSWERS] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	/* A new size of the terminal interrupts it. */
	if (poll(fds, ANSWERS + 1, wait_ms) < 0)
		memset(fds, 0, sizeof fds);
	for (int i = 0; i < ANSWERS; i++)
		if (fds[i].revents != 0)
			take(running, (enum answer)i);
	read_keys(running, fds[ANSWERS].revents);
}

static void serve(struct running *running)
{
	while (!running->quits) {
		uint64_t at_ms = now_ms();
		if (at_ms >= running->look_ms)
			look(running);
		if (at_ms >= running->message_ms)
			running->message[0] = '\0';
		running->view.message = running->message;
		top_draw(&running->top, &running->view);
		wait_and_take(running);
	}
}

int top_run(const char *path, const char **why)
{
	struct running running = {.path = path, .view.pane = TOP_PANE_LOG};
	for (int i = 0; i < ANSWERS; i++)
		running.answer[i] = STREAM_CLOSED;
	*why = "standard input and output must be a terminal";
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	setlocale(LC_ALL, "");
	running.view.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	*why = "TERM names no terminal that is known";
	SCREEN *screen = newterm(NULL, stdout, stdin);
	if (screen == NULL)
		return -EINVAL;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25);
	top_draw_init();
	serve(&running);
	endwin();
	delscreen(screen);
	for (int i = 0; i < ANSWERS; i++)
		stream_close(&running.answer[i]);
	top_free(&running.top);
	return 0;
}
