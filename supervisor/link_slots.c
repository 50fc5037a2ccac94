#include "supervisor/link_slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEEN_BYTES (LINK_SLOTS * sizeof(struct link_seen))

static const size_t counter_offset[LINK_COUNTERS] = {
	[LINK_RELEASED_BACKGROUND] = offsetof(struct link_slot, released_background_bytes),
	[LINK_RELEASED_GROWTH] = offsetof(struct link_slot, released_growth_bytes),
	[LINK_RELEASED_LAZY] = offsetof(struct link_slot, released_lazy_bytes),
	[LINK_RELEASED_EAGER] = offsetof(struct link_slot, released_eager_bytes),
	[LINK_RELEASED_FULL] = offsetof(struct link_slot, released_full_bytes),
	[LINK_ADVISE_CALLS] = offsetof(struct link_slot, advise_calls),
	[LINK_ADVISE_NS] = offsetof(struct link_slot, advise_ns),
	[LINK_REFAULT_BYTES] = offsetof(struct link_slot, refault_bytes),
	[LINK_REFAULT_TOUCHED] = offsetof(struct link_slot, refault_touched_bytes),
	[LINK_REGRET_RELEASE] = offsetof(struct link_slot, regret_release_bytes),
	[LINK_REGRET_HOLD] = offsetof(struct link_slot, regret_hold_bytes),
	[LINK_BACKGROUND_CPU_NS] = offsetof(struct link_slot, background_cpu_ns),
	[LINK_GATE_WAITS] = offsetof(struct link_slot, gate_waits),
	[LINK_GATE_TIMEOUTS] = offsetof(struct link_slot, gate_timeouts),
	[LINK_GATE_WAIT_NS] = offsetof(struct link_slot, gate_wait_ns),
};

static const size_t gauge_offset[LINK_GAUGES] = {
	[LINK_IN_USE] = offsetof(struct link_slot, in_use_bytes),
	[LINK_IDLE_DIRTY] = offsetof(struct link_slot, idle_dirty_bytes),
	[LINK_LAZY_BYTES] = offsetof(struct link_slot, lazy_bytes),
	[LINK_CLEAN] = offsetof(struct link_slot, clean_bytes),
	[LINK_METADATA] = offsetof(struct link_slot, metadata_bytes),
	[LINK_WANTS] = offsetof(struct link_slot, wants_bytes),
};

static uint64_t read_field(const struct link_slot *slot, size_t offset)
{
	const _Atomic uint64_t *field = (const void *)((const char *)slot + offset);
	return atomic_load_explicit(field, memory_order_relaxed);
}

uint64_t link_slots_add(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

int link_slots_init(struct link_slots *slots, struct link_slot *slot)
{
	memset(slots, 0, sizeof *slots);
	slots->seen =
		mmap(NULL, SEEN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slots->seen == MAP_FAILED) {
		slots->seen = NULL;
		return -ENOMEM;
	}
	slots->slot = slot;
	return 0;
}

void link_slots_fini(struct link_slots *slots)
{
	if (slots->seen != NULL)
		munmap(slots->seen, SEEN_BYTES);
	slots->seen = NULL;
}

/*
 * Fields 3 (state), 20 (threads) and 22 (start time) of /proc/PID/stat.  The name in
 * field 2 may hold anything, blanks and parentheses too, so counting starts
 * behind the last ')'.
 */
static bool parse_stat(const char *text, char *state, uint64_t *threads, uint64_t *start_ticks)
{
	const char *at = strrchr(text, ')');
	if (at == NULL || at[1] != ' ' || at[2] == '\0')
		return false;
	*state = at[2];
	at += 2;
	for (unsigned field = 3; field < 22; field++) {
		at = strchr(at, ' ');
		if (at == NULL)
			return false;
		at++;
		if (field + 1 == 20)
			*threads = strtoull(at, NULL, 10);
	}
	*start_ticks = strtoull(at, NULL, 10);
	return true;
}

/* A leader that has left its threads behind is a zombie as well, and its memory is in use. */
static bool process_lives(int proc_fd, uint64_t owner)
{
	char text[1024];
	char path[32];
	char state = 'X';
	uint64_t threads = 0;
	uint64_t start_ticks = 0;
	snprintf(path, sizeof path, "%u/stat", (unsigned)(uint32_t)owner);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT && errno != ESRCH;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	if (!parse_stat(text, &state, &threads, &start_ticks))
		return false;
	bool dead = state == 'X' || (state == 'Z' && threads <= 1);
	return !dead && (uint32_t)start_ticks == (uint32_t)(owner >> 32);
}

static void retire(struct link_slots *slots, struct link_seen *seen)
{
	for (size_t i = 0; i < LINK_COUNTERS; i++)
		slots->retired[i] = link_slots_add(slots->retired[i], seen->counter[i]);
	memset(seen, 0, sizeof *seen);
}

static void read_counters(
	struct link_slots *slots, const struct link_slot *slot, struct link_seen *seen)
{
	for (size_t i = 0; i < LINK_COUNTERS; i++) {
		uint64_t value = read_field(slot, counter_offset[i]);
		if (value < seen->counter[i])
			slots->retired[i] = link_slots_add(slots->retired[i], seen->counter[i]);
		seen->counter[i] = value;
	}
}

/* start_ticks says that the fields are whole, so it goes first; owner lets the next one in. */
static void free_slot(struct link_slot *slot, uint64_t owner)
{
	atomic_store(&slot->start_ticks, 0);
	atomic_compare_exchange_strong(&slot->owner, &owner, 0);
}

void link_slots_begin(struct link_slots *slots)
{
	slots->processes = 0;
	slots->threads = 0;
	slots->answered = true;
	slots->break_even_ns = 0;
	memset(slots->gauge, 0, sizeof slots->gauge);
	memset(slots->counter, 0, sizeof slots->counter);
}

void link_slots_visit(struct link_slots *slots, size_t index, int proc_fd, uint32_t asked_sequence,
	uint64_t now_ms)
{
	struct link_slot *slot = &slots->slot[index];
	struct link_seen *seen = &slots->seen[index];
	uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);
	if (seen->owner != owner && seen->owner != 0)
		retire(slots, seen);
	if (owner == 0)
		return;
	bool check = seen->owner == 0 || slots->suspect ||
		     now_ms - seen->checked_ms >= LINK_SLOTS_TRUST_MS;
	seen->owner = owner;
	bool whole = atomic_load_explicit(&slot->start_ticks, memory_order_acquire) != 0;
	if (whole)
		read_counters(slots, slot, seen);
	if (check && !process_lives(proc_fd, owner)) {
		free_slot(slot, owner);
		retire(slots, seen);
		return;
	}
	if (check)
		seen->checked_ms = now_ms;
	if (!whole)
		return;
	slots->processes++;
	if (atomic_load_explicit(&slot->has_thread, memory_order_relaxed) != 0) {
		uint32_t done = atomic_load_explicit(&slot->sequence_done, memory_order_acquire);
		slots->threads++;
		if ((int32_t)(done - asked_sequence) < 0)
			slots->answered = false;
	}
	for (size_t i = 0; i < LINK_GAUGES; i++)
		slots->gauge[i] =
			link_slots_add(slots->gauge[i], read_field(slot, gauge_offset[i]));
	for (size_t i = 0; i < LINK_COUNTERS; i++)
		slots->counter[i] = link_slots_add(slots->counter[i], seen->counter[i]);
	uint64_t break_even_ns = read_field(slot, offsetof(struct link_slot, break_even_ns));
	if (break_even_ns > slots->break_even_ns)
		slots->break_even_ns = break_even_ns;
}

void link_slots_end(struct link_slots *slots)
{
	slots->suspect = false;
	for (size_t i = 0; i < LINK_COUNTERS; i++)
		slots->counter[i] = link_slots_add(slots->counter[i], slots->retired[i]);
}
