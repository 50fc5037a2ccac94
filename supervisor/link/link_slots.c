/* What is believed of the slots of one link; what their figures come to is link_figures.c's. */
#include "supervisor/link/link_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/process/process_stat.h"

#include "supervisor/base/log.h"

/* A service of one process, which is most of them, needs one. */
#define SEEN_FIRST 1U

void link_slots_init(struct link_slots *slots, struct link_slot *slot)
{
	memset(slots, 0, sizeof *slots);
	slots->slot = slot;
}

void link_slots_fini(struct link_slots *slots)
{
	free(slots->seen);
	slots->seen = NULL;
	slots->seen_room = 0;
}

/* Room for the slot with that index.  false: there is no memory for it. */
static bool make_room(struct link_slots *slots, size_t index)
{
	size_t room = slots->seen_room > 0 ? slots->seen_room : SEEN_FIRST;
	while (room <= index)
		room *= 2;
	if (room == slots->seen_room)
		return true;
	struct link_seen *grown = realloc(slots->seen, room * sizeof *grown);
	if (grown == NULL)
		return false;
	memset(grown + slots->seen_room, 0, (room - slots->seen_room) * sizeof *grown);
	slots->seen = grown;
	slots->seen_room = room;
	return true;
}

/* A leader that has left its threads behind is a zombie as well, and its memory is in use.  One
 * that cannot be looked at is taken to live. */
static bool process_lives(int proc_fd, uint64_t owner)
{
	struct process_stat stat;
	int error = process_stat_read(proc_fd, (pid_t)(uint32_t)owner, &stat);
	if (error != 0)
		return error != -ENOENT && error != -ESRCH && error != -EINVAL;
	bool dead = stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1);
	return !dead && (uint32_t)stat.start_ticks == (uint32_t)(owner >> 32);
}

static void retire(struct link_slots *slots, struct link_seen *seen)
{
	link_figures_retire(&seen->figures, &slots->gone);
	memset(seen, 0, sizeof *seen);
}

/* start_ticks says that the fields are whole, so it goes first; owner lets the next one in. */
static void free_slot(struct link_slot *slot, uint64_t owner)
{
	atomic_store(&slot->start_ticks, 0);
	atomic_compare_exchange_strong(&slot->owner, &owner, 0);
}

void link_slots_begin(struct link_slots *slots, uint64_t now_ms)
{
	if (now_ms >= slots->fresh_ms) {
		slots->fresh = LINK_SLOTS_FRESH;
		slots->fresh_ms = now_ms + LINK_SLOTS_TRUST_MS;
	}
	slots->processes = 0;
	slots->threads = 0;
	slots->answered = true;
	memset(&slots->sum, 0, sizeof slots->sum);
}

/* Whether the owner is one that was known, or may be looked up now. */
static bool may_be_seen(struct link_slots *slots, const struct link_seen *seen)
{
	if (seen->owner != 0)
		return true;
	if (slots->fresh == 0)
		return false;
	slots->fresh--;
	return true;
}

static void say_version(struct link_slots *slots, uint64_t owner)
{
	if (!slots->told_version)
		log_warn("link: process %u has a libspillway.so of another version, and is not "
			 "heeded",
			(unsigned)(uint32_t)owner);
	slots->told_version = true;
}

/* Looks the process up where it is time to; false: it is gone, and the slot free. */
static bool check_owner(
	struct link_slots *slots, size_t index, int proc_fd, bool silent, uint64_t now_ms)
{
	struct link_seen *seen = &slots->seen[index];
	uint64_t trust_ms = slots->rests ? LINK_SLOTS_REST_MS : LINK_SLOTS_TRUST_MS;
	uint64_t silent_ms = LINK_SLOTS_SILENT_MS * (1 + slots->seen_end / LINK_SLOTS_SILENT_FEW);
	if (silent && !slots->rests && silent_ms < trust_ms)
		trust_ms = silent_ms;
	if (seen->checked_ms != 0 && !slots->suspect && now_ms - seen->checked_ms < trust_ms)
		return true;
	if (!process_lives(proc_fd, seen->owner)) {
		free_slot(&slots->slot[index], seen->owner);
		retire(slots, seen);
		return false;
	}
	seen->checked_ms = now_ms;
	return true;
}

void link_slots_visit(struct link_slots *slots, size_t index, int proc_fd, uint32_t asked_sequence,
	uint64_t now_ms)
{
	struct link_slot *slot = &slots->slot[index];
	uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);
	if ((owner == 0 && index >= slots->seen_end) || !make_room(slots, index))
		return;
	struct link_seen *seen = &slots->seen[index];
	if (index < slots->seen_end && seen->owner != owner && seen->owner != 0)
		retire(slots, seen);
	if (index < slots->seen_end)
		seen->answers = false;
	if (owner == 0 || !may_be_seen(slots, seen))
		return;
	seen->owner = owner;
	if (index >= slots->seen_end)
		slots->seen_end = index + 1;
	bool whole = atomic_load_explicit(&slot->start_ticks, memory_order_acquire) != 0;
	/* Read before the figures, since they are published before it: what was done is in them. */
	uint32_t done = atomic_load_explicit(&slot->sequence_done, memory_order_acquire);
	bool ours = atomic_load_explicit(&slot->version, memory_order_relaxed) == LINK_VERSION;
	if (whole && ours)
		link_figures_read(slot, &seen->figures, &slots->gone);
	bool has_thread = atomic_load_explicit(&slot->has_thread, memory_order_relaxed) != 0;
	bool silent = has_thread && (int32_t)(done - asked_sequence) < 0;
	if (!check_owner(slots, index, proc_fd, silent, now_ms))
		return;
	if (!whole || !ours) {
		/* The process does not count now.  What it had reached before still does. */
		link_figures_retire(&seen->figures, &slots->sum);
		if (whole)
			say_version(slots, owner);
		return;
	}
	slots->processes++;
	if (has_thread) {
		slots->threads++;
		seen->answers = true;
		if (silent)
			slots->answered = false;
	}
	link_figures_add(&slots->sum, &seen->figures);
}

void link_slots_end(struct link_slots *slots)
{
	slots->suspect = false;
	link_figures_add(&slots->sum, &slots->gone);
}

/* SIZE_MAX: it had none. */
static size_t slot_of(const struct link_slots *slots, pid_t pid)
{
	for (size_t i = 0; i < slots->seen_end; i++) {
		uint64_t owner = slots->seen[i].owner;
		if (owner != 0 && (uint32_t)owner == (uint32_t)pid)
			return i;
	}
	return SIZE_MAX;
}

bool link_slots_has_process(const struct link_slots *slots, pid_t pid)
{
	return slot_of(slots, pid) != SIZE_MAX;
}

enum link_allocator link_slots_allocator(const struct link_slots *slots, pid_t pid)
{
	size_t index = slot_of(slots, pid);
	uint64_t allocator = LINK_ALLOCATOR_SPILLWAY;
	if (index != SIZE_MAX)
		allocator =
			atomic_load_explicit(&slots->slot[index].allocator, memory_order_relaxed);
	return allocator < LINK_ALLOCATORS ? (enum link_allocator)allocator
					   : LINK_ALLOCATOR_SPILLWAY;
}
