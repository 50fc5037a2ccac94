#ifndef SUPERVISOR_LINK_LINK_SLOTS_H
#define SUPERVISOR_LINK_LINK_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/protocol.h"
#include "supervisor/link/link_figures.h"

/*
 * What is believed of the slots of one link.
 *
 * A slot counts while its process lives, which is looked up in /proc: the pid
 * must be there, not be a zombie, and have been started at the tick in the
 * owner word.  That costs a file per process, so a known owner is looked up again
 * only after LINK_SLOTS_TRUST_MS, or when the caller suspects a death; one that has a scavenger
 * thread and has not answered a release, after LINK_SLOTS_SILENT_MS: nothing else is asked of the
 * service until all have answered, so one that has died must not hold that up (for each further
 * LINK_SLOTS_SILENT_FEW slots as much longer, since hundreds answer slowly and looking them all up
 * would keep the processors from them); and after
 * LINK_SLOTS_REST_MS while the service is at rest, when a process that is gone makes nobody wait,
 * and has LINK_SLOTS_REST_MOST at most, so that slots are left for new ones.  Of owners that were
 * not there before LINK_SLOTS_FRESH are looked up in LINK_SLOTS_TRUST_MS, and the rest later: a
 * process that writes new ones all the time must not keep the supervisor busy.
 *
 * Shims take the first slot that is free, so what is noted of them is an array as long as the
 * highest slot that ever had an owner.  A slot for which there is no memory does not count.
 *
 * A slot of another version of the protocol does not count, which is said once.
 *
 * Its figures are kept as last read; link_figures.h says which of them outlive it.
 */

#define LINK_SLOTS_TRUST_MS 250
#define LINK_SLOTS_SILENT_MS 10
#define LINK_SLOTS_SILENT_FEW 16U
#define LINK_SLOTS_REST_MS 5000
#define LINK_SLOTS_REST_MOST 256U
#define LINK_SLOTS_FRESH 256U

struct link_seen {
	uint64_t owner;
	uint64_t checked_ms;
	bool answers; /* as of the last read: it has a scavenger thread */
	struct link_figures figures;
};

struct link_slots {
	struct link_slot *slot; /* the mapping, LINK_SLOTS of them */
	struct link_seen *seen; /* of the first seen_room slots; NULL = of none */
	size_t seen_room;
	size_t seen_end; /* none from there on had an owner yet */
	bool suspect;
	bool rests; /* the caller's: nothing is asked of the service, and it wants nothing */
	bool told_version;
	uint32_t fresh; /* owners that may still be looked up for the first time, until */
	uint64_t fresh_ms;
	struct link_figures gone; /* the totals of those that are no more */
	/* Of the last read: */
	uint32_t processes;
	uint32_t threads;
	bool answered;
	struct link_figures sum;
};

void link_slots_init(struct link_slots *slots, struct link_slot *slot);
void link_slots_fini(struct link_slots *slots);

/* One reading is begin, any number of slots in rising order, end.  answered becomes whether every
 * process with a thread has done asked_sequence. */
void link_slots_begin(struct link_slots *slots, uint64_t now_ms);
void link_slots_visit(struct link_slots *slots, size_t index, int proc_fd, uint32_t asked_sequence,
	uint64_t now_ms);
void link_slots_end(struct link_slots *slots);

/* Whether the process had a slot at the last reading. */
bool link_slots_has_process(const struct link_slots *slots, pid_t pid);

/* What it says it allocates with; LINK_ALLOCATOR_SPILLWAY: that, it has no slot, or says what is
 * not known. */
enum link_allocator link_slots_allocator(const struct link_slots *slots, pid_t pid);

#endif
