#ifndef SUPERVISOR_POLICY_FREEZE_H
#define SUPERVISOR_POLICY_FREEZE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When one service stands still (cgroup.freeze), and when it goes on.
 *
 * What a release brings back is anybody's to take.  While services of higher memory_priority need
 * it, one that may be frozen and grows takes nothing: it is frozen until there is as much headroom
 * as eager wants, nobody needs memory any more, or for_ms are over.  Then it runs for
 * FREEZE_REST_TIMES as long as it was frozen, FREEZE_REST_MS at least.
 *
 * Which services that concerns is freeze_walls.h's.
 */

#define FREEZE_REST_TIMES 4U
#define FREEZE_REST_MS 1000U

/* One service in one step. */
struct freeze_view {
	bool possible; /* it may be frozen, and nothing else is to be done with it */
	bool wanted;   /* another one needs what a third one is to give back */
	bool over;     /* nobody needs it any more */
	uint32_t for_ms;
};

struct freeze {
	bool on;
	uint64_t began_ms;
	uint64_t until_ms;
	uint64_t next_ms; /* not again before */
};

enum freeze_change { FREEZE_KEEP, FREEZE_ON, FREEZE_OFF };

enum freeze_change freeze_step(
	struct freeze *freeze, const struct freeze_view *view, uint64_t now_ms);

#endif
