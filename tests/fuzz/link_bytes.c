/* Bytes as what processes do to the slots of a link, and when the supervisor looks. */
#include "tests/fuzz/targets.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/link/link_parts.h"
#include "supervisor/link/link_slots.h"
#include "tests/support/fake_tree.h"

/*
 * Each operation is a byte that says which, and bytes that say with what; behind the end there are
 * zeros, and nothing follows.
 *
 *   0  SLOT PROCESS        the slot is taken as a shim takes it
 *   1  SLOT AT COUNT ...   bytes into the slot, wherever they fall
 *   2  LATER               the supervisor reads all slots, so much later
 *   3  LEVEL BYTES         a release of so many MiB is divided
 */
enum operation { TAKE, SCRIBBLE, READ, DIVIDE, OPERATIONS };

#define SLOTS 12U
#define PROCESSES 4U
#define START_TICKS UINT64_C(77)

struct play {
	const uint8_t *at;
	const uint8_t *end;
	struct link_slot slot[LINK_SLOTS];
	struct link_slots slots;
	struct link_header header;
	struct link_figures before;
	uint64_t now_ms;
};

static struct fake_tree proc;

static void proc_close(void)
{
	fake_tree_close(&proc);
}

/* Processes 1 to PROCESSES live. */
static void proc_open(void)
{
	static bool is_open;
	char path[32];
	char text[128];
	if (is_open)
		return;
	is_open = true;
	fake_tree_open(&proc);
	atexit(proc_close);
	for (unsigned pid = 1; pid <= PROCESSES; pid++) {
		snprintf(path, sizeof path, "%u/stat", pid);
		snprintf(text, sizeof text,
			"%u (web) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 %u 9\n", pid,
			(unsigned)START_TICKS);
		fake_tree_write(&proc, path, text);
	}
}

static unsigned one(struct play *play)
{
	return play->at < play->end ? *play->at++ : 0;
}

static void take(struct play *play)
{
	struct link_slot *slot = &play->slot[one(play) % SLOTS];
	slot->owner = START_TICKS << 32 | (1 + one(play) % PROCESSES);
	slot->version = LINK_VERSION;
	slot->start_ticks = START_TICKS;
	slot->has_thread = 1;
}

static void scribble(struct play *play)
{
	uint8_t *slot = (uint8_t *)&play->slot[one(play) % SLOTS];
	size_t at = one(play);
	for (size_t count = one(play) % 65; count > 0 && at < LINK_SLOT_BYTES; count--)
		slot[at++] = (uint8_t)one(play);
}

/* Totals never fall, whatever is written. */
static const char *compare(const struct link_figures *before, const struct link_figures *now)
{
#define COMPARE(name, kind, attribute) \
	if (FIGURE_##kind == FIGURE_TOTAL && now->name < before->name) \
		return "a total has fallen: " #name;
	FIGURES_OF_SLOT(COMPARE)
#undef COMPARE
	return NULL;
}

static const char *look(struct play *play)
{
	struct link_slots *slots = &play->slots;
	play->now_ms += 1 + 4 * one(play);
	link_slots_begin(slots, play->now_ms);
	for (size_t i = 0; i < SLOTS; i++)
		link_slots_visit(slots, i, proc.fd, 1, play->now_ms);
	link_slots_end(slots);
	const char *wrong = compare(&play->before, &slots->sum);
	play->before = slots->sum;
	if (wrong == NULL && (slots->processes > SLOTS || slots->threads > slots->processes))
		wrong = "more processes than there can be";
	if (wrong == NULL && link_figures_page_ns(&slots->sum) > UINT64_C(2000000000))
		wrong = "a page costs more than two seconds";
	return wrong;
}

static const char *divide(struct play *play)
{
	enum level level = LEVEL_LAZY + one(play) % 3;
	uint64_t target_bytes = (uint64_t)one(play) << 20;
	uint32_t answering = 0;
	uint32_t spared = link_parts_write(&play->header, &play->slots, level, target_bytes);
	for (size_t i = 0; i < play->slots.seen_end; i++)
		answering += play->slots.seen[i].answers;
	if (spared > answering)
		return "more are spared than could answer";
	if (target_bytes > 0 && answering > 0 && spared == answering)
		return "nobody is asked for what is wanted";
	return NULL;
}

static const char *step(struct play *play)
{
	switch (one(play) % OPERATIONS) {
	case TAKE:
		take(play);
		return NULL;
	case SCRIBBLE:
		scribble(play);
		return NULL;
	case READ:
		return look(play);
	default:
		return divide(play);
	}
}

const char *link_bytes_play(const uint8_t *bytes, size_t count)
{
	struct play *play = calloc(1, sizeof *play);
	const char *wrong = NULL;
	proc_open();
	if (play == NULL)
		return NULL;
	link_slots_init(&play->slots, play->slot);
	play->at = bytes;
	play->end = bytes + count;
	play->now_ms = 1000;
	/* It would be said each time. */
	play->slots.told_version = true;
	while (wrong == NULL && play->at < play->end)
		wrong = step(play);
	if (wrong == NULL)
		wrong = look(play);
	link_slots_fini(&play->slots);
	free(play);
	return wrong;
}
