#ifndef SUPERVISOR_POLICY_LAST_RESORT_H
#define SUPERVISOR_POLICY_LAST_RESORT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When a service is ended because nothing else is left, before the kernel kills one.
 *
 * A wall is exhausted when headroom is below full's threshold and the heaps behind it have answered
 * a full release and hold next to nothing.  Then a service is ended
 *
 *   - when this has slowed somebody down for LAST_RESORT_SLOW_MS: a brake is on, or a heap waits at
 *     the gate for what nobody has.  Pauses of up to LAST_RESORT_PAUSE_MS do not count: a release
 *     that is asked for again is one;
 *   - or when a kill is near: headroom is below 1/LAST_RESORT_SHARE of the limit, and at the
 * present growth lasts for less than LAST_RESORT_NEAR_MS, or somebody is slowed down for so long
 * already and a brake is on.  What a brake holds grows too slowly for its growth to tell anything,
 * and the kernel does not hold it at the very end: where less than a batch of 64 pages is left it
 *     charges page by page, and no page by itself is worth a delay.
 *
 * Nothing is ended while the wall is not exhausted, however long it was.
 *
 * After that nothing is ended below this wall for LAST_RESORT_REST_MS, so that what went with it
 * can be seen; a service that was started again has that long before its turn comes again.
 */

#define LAST_RESORT_SLOW_MS UINT64_C(10000)
#define LAST_RESORT_PAUSE_MS UINT64_C(1000)
#define LAST_RESORT_SHARE 64U
#define LAST_RESORT_NEAR_MS UINT64_C(1000)
#define LAST_RESORT_REST_MS UINT64_C(30000)

/* One wall in one step. */
struct last_resort_view {
	bool exhausted;
	bool slowed; /* somebody behind it is, by brake or gate */
	bool braked; /* by brake */
	uint64_t headroom_bytes;
	uint64_t limit_bytes;
	uint64_t time_to_wall_ms;
};

struct last_resort {
	bool began; /* exhausted and slowed */
	uint64_t began_ms;
	uint64_t seen_ms;
	bool ended; /* a service was told to end */
	uint64_t ended_ms;
};

enum last_resort_why { LAST_RESORT_NOT, LAST_RESORT_SLOWED, LAST_RESORT_NEAR, LAST_RESORT_TIGHT };

/* Whether it is time; whoever ends a service says so by last_resort_note(). */
enum last_resort_why last_resort_judge(
	struct last_resort *state, const struct last_resort_view *view, uint64_t now_ms);
void last_resort_note(struct last_resort *state, uint64_t now_ms);

#endif
