#ifndef SUPERVISOR_POLICY_SHORTAGE_H
#define SUPERVISOR_POLICY_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The conclusion that no heap below a wall has anything left to give.
 *
 * A heap that grows near a wall waits at the gate for what others give back.  When all of them
 * have answered a full release and hold next to nothing idle, no release can help any more:
 * waiting then only makes the service stand still.  So the shortage is concluded, and
 *
 *   - the reserve is handed out as credit too, but for the last 1/SHORTAGE_LAST_SHARE of the limit:
 *     a heap that comes so near waits once more before it hits the limit.  Only who waits makes
 *     that heaps are asked at once what they have freed since they last answered, and growth that
 *     no credit covers (page tables, stacks) finds room;
 *   - who needs more than that still waits, because a service may end a piece of work and free
 *     what it used for it.  When nothing has come back for hold_ms since the conclusion, a heap
 *     waits no longer than until all heaps have answered a full release again, once in
 *     SHORTAGE_FRESH_MS: nothing is kept back, growth goes on to the limit, and the kernel decides.
 *
 * Where such a wait brought nothing the next one is half as long, down to
 * hold_ms >> SHORTAGE_HALVES; where something came back meanwhile it has its full time again.
 *
 * The conclusion holds until something changes: the heaps hold idle memory again, headroom is
 * beyond the reserve again, or the wall moves away.
 *
 * unseen_ms is for a preload without a supervisor, whose sample shows its own process alone: the
 * shortage must last so long, for others to notice and to give back.  A shortage counts as one
 * while it pauses for no longer than SHORTAGE_PAUSE_MS: a small need waits for a shorter time than
 * this.
 */

#define SHORTAGE_PAUSE_MS UINT64_C(250)
/* What a full release left is all that there is for so long: services go on, and free. */
#define SHORTAGE_FRESH_MS UINT64_C(60)
#define SHORTAGE_HALVES 4U
/* Less than this part of the limit is next to nothing. */
#define SHORTAGE_LITTLE_SHARE 128U
/* So much of the limit is kept back until waiting is hopeless. */
#define SHORTAGE_LAST_SHARE 128U
/* The same conclusion is told again after this time at the earliest. */
#define SHORTAGE_TOLD_MS UINT64_C(60000)

/* One wall in one step. */
struct shortage_view {
	bool is_short; /* someone waits for room below this wall and is not served */
	bool emptied;  /* all heaps behind it have answered a full release within SHORTAGE_FRESH_MS
			*/
	uint64_t idle_bytes;  /* what they hold idle */
	uint64_t wants_bytes; /* what waits */
	uint64_t headroom_bytes;
	uint64_t reserve_bytes; /* what is kept back while nothing is concluded */
	uint64_t limit_bytes;
	uint64_t unseen_ms;
	uint64_t hold_ms;
};

struct shortage {
	bool began;
	uint64_t began_ms;
	uint64_t short_ms; /* when it was last short */
	bool concluded;
	uint64_t limit_bytes;    /* then */
	uint64_t headroom_bytes; /* the least since changed_ms */
	uint64_t changed_ms;     /* when it last rose by more than a little from there */
	bool emptied;            /* of the last view */
	bool hopeless;
	unsigned halves; /* of hold_ms, how often */
	bool told;
	uint64_t told_ms;
};

enum shortage_change { SHORTAGE_KEEP, SHORTAGE_CONCLUDE, SHORTAGE_WITHDRAW };

/* CONCLUDE also when it is concluded again; *tell: and has not been told lately. */
enum shortage_change shortage_step(
	struct shortage *shortage, const struct shortage_view *view, uint64_t now_ms, bool *tell);

/* Concluded, nothing has come back for long enough, and the heaps have just said so. */
bool shortage_is_hopeless(const struct shortage *shortage);

/* There is more headroom than the reserve, by more than next to nothing. */
bool shortage_has_room(uint64_t headroom_bytes, uint64_t reserve_bytes, uint64_t limit_bytes);

/* What is kept back below the wall, of the reserve_bytes that are while nothing is concluded. */
uint64_t shortage_reserve_bytes(
	const struct shortage *shortage, uint64_t reserve_bytes, uint64_t limit_bytes);

#endif
