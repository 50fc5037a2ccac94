#ifndef SUPERVISOR_POLICY_BRAKE_H
#define SUPERVISOR_POLICY_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/*
 * The brake: memory.high of one leaf, for a time.
 *
 * It is put on where headroom is under the policy's brake amount, or where the
 * leaf grows so fast that the wall is nearer than full's time to wall.  The
 * second is only for a service whose heaps do not stop at the gate by themselves.
 * high_bytes leaves the room between here and the brake amount; where that is used
 * up it is just below the present usage, since the kernel's penalty rises
 * with the square of the overage and a stop is not the aim.
 *
 * It comes off when there is as much headroom and time as eager wants.  At until_ms it comes off
 * whatever the wall is like, unless the service still drives towards it: its growth says so, or,
 * since a braked service grows too slowly for that, it has hit memory.high and has grown all the
 * same since the brake was put on.  Then the brake is put on anew, and no higher than before: the
 * kernel's penalty rises with the distance, so growth that nobody can meet becomes steadily slower,
 * and has no pause to rush to the wall in.  A service that only takes memory in the place of what
 * it gave back does not grow, and is let go.
 */

/* After it has come off growth is still measured over a time in which it was held. */
#define BRAKE_WATCH_MS 500U
/* Less growth than this within one hold is none. */
#define BRAKE_LITTLE_BYTES (UINT64_C(128) << 10)

struct brake_view {
	bool can_brake;
	bool wanted; /* the wall is close, and this service is one that drives towards it */
	bool far;    /* headroom of every wall is at eager's threshold or over */
	bool close;  /* a wall is close enough to brake for */
	bool hit;    /* memory.high was, since the last step */
	uint64_t current_bytes;
	uint64_t room_bytes; /* what it may still grow by before the brake bites */
	uint32_t hold_ms;
};

struct brake {
	bool on;
	bool hit;           /* since it was put on */
	uint64_t set_bytes; /* usage then */
	uint64_t high_bytes;
	uint64_t until_ms;
	uint64_t watch_ms; /* it has come off, and its growth is not known until then */
};

/* ON also when it is put on anew. */
enum brake_change { BRAKE_KEEP, BRAKE_ON, BRAKE_OFF };

enum brake_change brake_step(struct brake *brake, const struct brake_view *view, uint64_t now_ms);

#endif
