#include "tests/heap/takeover_protocols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

/*
 * The protocol of shim/heap/caches/cache_owner.h as a model, walked through in every
 * interleaving: an owner that comes by a few times, and thieves.  The bins are
 * one word.  Whoever is inside reads it, then writes it; at the read nobody
 * else may be between its own read and write, and what is read must be what was
 * written last, by whomever.  Nor may there be a state in which somebody is not
 * done and nobody can go on.  What is broken on purpose must be seen to be.
 *
 * Two memories:
 *
 * TSO, x86-64: a store goes to the end of its thread's buffer, and from the
 * front of it to memory at any later moment.  A load looks into its own thread's
 * buffer, then into memory.  A fence and a locked instruction wait until the
 * buffer is empty.
 *
 * VIEWS, for aarch64, weaker than it in what it covers: a word is the list of all
 * that was ever stored to it, and a thread has a view, how far of each list it
 * must have seen.  A load takes any store that is not before the view, and
 * moves the view up to it.  A store-release takes its thread's view along and
 * a load-acquire that reads it joins that view to its own; relaxed ones do
 * neither.  Fences pass on their views to all later fences.  That lets loads
 * and stores appear in any order, except that no load returns what is stored
 * later in the order in which the model goes: a load that is overtaken by a
 * store behind it ("load buffering") is not modelled.  Where it could matter,
 * the bins against E2 and E3, an acquire or a release forbids it.
 *
 * membarrier is, for the caller, a fence at its start and one at its end, and for
 * every other thread one fence at a moment in between that the model picks.
 * The thieves' lock is a locked instruction that acquires, and one that releases.
 *
 * A wait is a load that is tried again; that alone leads nowhere new, so the graph of
 * states has no cycles, and "waits for ever" is a state that nothing leads out of.
 * A change of taken is a locked instruction.
 */

enum place { BUSY, TAKEN, BINS, PLACES };

#define THREADS 3
#define BUFFER 8
#define STORES 16
#define OWNER 0

struct view {
	uint8_t seen[PLACES];
};

struct store {
	uint8_t value;
	struct view view;
};

struct thread {
	uint8_t at;     /* in its program */
	uint8_t rounds; /* still to go */
	bool keeps_out;
	bool saw_busy; /* in S5 */
	bool has_lock;
	uint8_t before; /* taken before F4 */
	bool inside;
	uint8_t fences_due; /* a bit for each thread that is in membarrier and waits for this one's
			     */
	struct view view;
	uint8_t buffered;
	uint8_t buffer_place[BUFFER];
	uint8_t buffer_value[BUFFER];
};

/* All bytes count: it is compared and hashed as memory.  No padding: all are bytes. */
struct state {
	struct thread threads[THREADS];
	struct view fences;
	struct view lock_view;
	bool locked;
	uint8_t bins; /* what was written last */
	uint8_t stores[PLACES];
	struct store list[PLACES][STORES]; /* TSO: the first is memory */
};

struct walk {
	const struct protocol *protocol;
	enum memory memory;
	enum verdict verdict;
	struct state *states;
	uint32_t *slots; /* of states, from 1; a hash table */
	size_t count;
	size_t room;
	size_t slot_count;
};

/* States seen ------------------------------------------------------------ */

static uint64_t state_hash(const struct state *state)
{
	const unsigned char *at = (const unsigned char *)state;
	uint64_t hash = 14695981039346656037ULL;
	uint64_t word;
	size_t i = 0;

	for (; i + sizeof word <= sizeof *state; i += sizeof word) {
		memcpy(&word, at + i, sizeof word);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	for (; i < sizeof *state; i++)
		hash = (hash ^ at[i]) * 1099511628211ULL;
	return hash ^ hash >> 32;
}

static void walk_place(struct walk *walk, size_t index)
{
	size_t slot = state_hash(&walk->states[index]) & (walk->slot_count - 1);

	while (walk->slots[slot] != 0)
		slot = (slot + 1) & (walk->slot_count - 1);
	walk->slots[slot] = (uint32_t)index + 1;
}

static void walk_grow(struct walk *walk)
{
	walk->room = walk->room == 0 ? 4096 : walk->room * 2;
	walk->slot_count = walk->room * 2;
	walk->states = realloc(walk->states, walk->room * sizeof *walk->states);
	free(walk->slots);
	walk->slots = calloc(walk->slot_count, sizeof *walk->slots);
	assert_non_null(walk->states);
	assert_non_null(walk->slots);
	for (size_t i = 0; i < walk->count; i++)
		walk_place(walk, i);
}

/* Remembers a state to go on from, unless it is known. */
static void walk_add(struct walk *walk, const struct state *state)
{
	size_t slot;

	if (walk->count == walk->room)
		walk_grow(walk);
	slot = state_hash(state) & (walk->slot_count - 1);
	for (; walk->slots[slot] != 0; slot = (slot + 1) & (walk->slot_count - 1))
		if (memcmp(&walk->states[walk->slots[slot] - 1], state, sizeof *state) == 0)
			return;
	walk->states[walk->count] = *state;
	walk->slots[slot] = (uint32_t)++walk->count;
}

/* Memory ----------------------------------------------------------------- */

static void view_join(struct view *view, const struct view *other)
{
	for (int i = 0; i < PLACES; i++)
		if (other->seen[i] > view->seen[i])
			view->seen[i] = other->seen[i];
}

/* How many different answers a load may get. */
static unsigned load_choices(enum memory memory, const struct state *state,
	const struct thread *thread, enum place place)
{
	return memory == TSO ? 1U : (unsigned)(state->stores[place] - thread->view.seen[place]);
}

static uint8_t load(enum memory memory, struct state *state, struct thread *thread,
	enum place place, bool acquire, unsigned choice)
{
	const struct store *store = &state->list[place][0];

	if (memory == VIEWS) {
		thread->view.seen[place] += (uint8_t)choice;
		store = &state->list[place][thread->view.seen[place]];
		if (acquire)
			view_join(&thread->view, &store->view);
		return store->value;
	}
	for (int i = thread->buffered - 1; i >= 0; i--)
		if (thread->buffer_place[i] == place)
			return thread->buffer_value[i];
	return store->value;
}

static bool store(enum memory memory, struct state *state, struct thread *thread, enum place place,
	uint8_t value, bool release)
{
	struct store *last = &state->list[place][state->stores[place]];

	if (memory == TSO) {
		if (thread->buffered == BUFFER)
			return false;
		thread->buffer_place[thread->buffered] = place;
		thread->buffer_value[thread->buffered++] = value;
		return true;
	}
	assert_true(state->stores[place] < STORES);
	last->value = value;
	thread->view.seen[place] = state->stores[place]++;
	if (release)
		last->view = thread->view;
	else
		last->view.seen[place] = thread->view.seen[place];
	return true;
}

/* The oldest store of a buffer reaches memory. */
static bool flush(struct state *state, struct thread *thread)
{
	if (thread->buffered == 0)
		return false;
	state->list[thread->buffer_place[0]][0].value = thread->buffer_value[0];
	thread->buffered--;
	memmove(thread->buffer_place, thread->buffer_place + 1, thread->buffered);
	memmove(thread->buffer_value, thread->buffer_value + 1, thread->buffered);
	thread->buffer_place[thread->buffered] = 0;
	thread->buffer_value[thread->buffered] = 0;
	return true;
}

static bool fence(struct state *state, struct thread *thread)
{
	view_join(&thread->view, &state->fences);
	state->fences = thread->view;
	return thread->buffered == 0;
}

/* Steps ------------------------------------------------------------------ */

static bool others_have_fenced(const struct state *state, unsigned self)
{
	for (int i = 0; i < THREADS; i++)
		if ((state->threads[i].fences_due & 1U << self) != 0)
			return false;
	return true;
}

static bool membarrier_start(struct state *state, unsigned self)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (i != self)
			state->threads[i].fences_due |= (uint8_t)(1U << self);
	return fence(state, &state->threads[self]);
}

/* Another thread's membarrier fences this one, here. */
static bool fence_due(struct state *state, struct thread *thread, unsigned caller)
{
	if ((thread->fences_due & 1U << caller) == 0)
		return false;
	thread->fences_due &= (uint8_t) ~(1U << caller);
	return fence(state, thread);
}

/* False: not now, or it leads nowhere new. */
static bool wait_for_zero(struct thread *thread, uint8_t value)
{
	thread->keeps_out = false;
	return value == 0;
}

static bool go_inside(struct walk *walk, struct state *state, struct thread *thread, uint8_t value)
{
	for (int i = 0; i < THREADS; i++)
		if (state->threads[i].inside)
			walk->verdict = BROKEN;
	if (value != state->bins)
		walk->verdict = BROKEN;
	thread->inside = true;
	return true;
}

/* taken ------------------------------------------------------------------ */

#define TAKEN_BY_THIEF 1U

/* No two rounds of any thief have the same. */
static uint8_t wish_of(const struct state *state, unsigned self, bool same)
{
	return same ? 2 : (uint8_t)(2 + self * 8 + state->threads[self].rounds);
}

static bool is_wish(uint8_t value)
{
	return value > TAKEN_BY_THIEF;
}

static uint8_t taken_last(enum memory memory, const struct state *state)
{
	return state->list[TAKEN][memory == TSO ? 0 : state->stores[TAKEN] - 1].value;
}

/* A locked instruction that acquires: of what was stored last it makes the next, which carries on
 * what that released. */
static bool taken_change(
	enum memory memory, struct state *state, struct thread *thread, uint8_t value)
{
	const struct view *last;

	if (memory == TSO) {
		state->list[TAKEN][0].value = value;
		return true;
	}
	last = &state->list[TAKEN][state->stores[TAKEN] - 1].view;
	thread->view.seen[TAKEN] = state->stores[TAKEN] - 1;
	view_join(&thread->view, last);
	store(memory, state, thread, TAKEN, value, false);
	view_join(&state->list[TAKEN][thread->view.seen[TAKEN]].view, last);
	return true;
}

static bool perform_change(enum memory memory, struct state *state, unsigned self, enum op op)
{
	struct thread *thread = &state->threads[self];
	uint8_t taken = taken_last(memory, state);
	uint8_t wish = wish_of(state, self, op == S1_SAME || op == S4_SAME);

	if (thread->buffered != 0)
		return false;
	if (op == W1)
		return !thread->keeps_out || !is_wish(taken) ||
		       taken_change(memory, state, thread, 0);
	if (op == F4) {
		thread->before = taken;
		return taken_change(memory, state, thread, TAKEN_BY_THIEF);
	}
	if (op == S1 || op == S1_SAME) {
		thread->saw_busy = false;
		thread->keeps_out = taken == TAKEN_BY_THIEF;
		return thread->keeps_out || taken_change(memory, state, thread, wish);
	}
	if (thread->keeps_out)
		return true;
	thread->keeps_out = op != S4_ANY && taken != wish;
	return thread->keeps_out || taken_change(memory, state, thread, TAKEN_BY_THIEF);
}

/* Steps of a thief that may keep out, and lets go of what it has. */
static bool perform_letting_go(enum memory memory, struct state *state, unsigned self, enum op op)
{
	struct thread *thread = &state->threads[self];

	if (op == F6)
		return store(memory, state, thread, TAKEN, thread->before, true);
	if (thread->saw_busy)
		return store(memory, state, thread, TAKEN, wish_of(state, self, false), false);
	return thread->keeps_out || store(memory, state, thread, TAKEN, 0, op == S6);
}

static bool perform_lock(struct state *state, struct thread *thread, enum op op)
{
	if (thread->buffered != 0 || (op == F3 && state->locked))
		return false;
	if (op == F3)
		thread->keeps_out = thread->saw_busy = false;
	if (op == S7) {
		if (thread->has_lock) {
			state->locked = thread->has_lock = false;
			state->lock_view = thread->view;
		}
	} else if (state->locked) {
		thread->keeps_out = true;
	} else if (!thread->keeps_out) {
		state->locked = thread->has_lock = true;
		view_join(&thread->view, &state->lock_view);
	}
	return true;
}

static enum place op_place(enum op op)
{
	if (op == READ)
		return BINS;
	return op == E2 || op == E2_RELAXED || op == E2_WAITS ? TAKEN : BUSY;
}

static bool op_loads(enum op op)
{
	return (op >= E2 && op <= E2_WAITS) || op == S5 || op == S5_RELAXED || op == READ;
}

static bool perform_load(
	struct walk *walk, struct state *state, struct thread *thread, enum op op, unsigned choice)
{
	bool acquire = op != E2_RELAXED && op != S5_RELAXED && op != READ;
	bool looks = op == S5 || op == S5_RELAXED;
	uint8_t value;

	if ((op == READ || looks) && thread->keeps_out)
		return choice == 0;
	value = load(walk->memory, state, thread, op_place(op), acquire, choice);
	if (op == READ)
		return go_inside(walk, state, thread, value);
	if (op == E2_WAITS)
		return wait_for_zero(thread, value);
	thread->saw_busy = looks && value != 0;
	thread->keeps_out = value != 0;
	return true;
}

static bool perform_other(struct walk *walk, struct state *state, unsigned self, enum op op)
{
	struct thread *thread = &state->threads[self];
	enum memory memory = walk->memory;

	switch (op) {
	case E1:
		return store(memory, state, thread, BUSY, 1, false);
	case E3:
	case E3_RELAXED:
		return store(memory, state, thread, BUSY, 0, op == E3);
	case W1:
	case S1:
	case S1_SAME:
	case S4:
	case S4_SAME:
	case S4_ANY:
	case F4:
		return perform_change(memory, state, self, op);
	case S6:
	case S6_RELAXED:
	case F6:
		return perform_letting_go(memory, state, self, op);
	case S3:
	case F3:
	case S7:
		return perform_lock(state, thread, op);
	case WRITE:
		if (thread->keeps_out)
			return true;
		thread->inside = false;
		return store(memory, state, thread, BINS, ++state->bins, false);
	case S2:
		return membarrier_start(state, self);
	case S2_ENDS:
		return others_have_fenced(state, self) && fence(state, thread);
	default:
		return fence(state, thread);
	}
}

static enum op next_op(const struct protocol *protocol, const struct state *state, unsigned self)
{
	const struct thread *thread = &state->threads[self];

	if (thread->rounds == 0)
		return DONE;
	return self == OWNER ? protocol->owner[thread->at] : protocol->thief[thread->at];
}

/* The next step of a thread's program, if it can be made, leads to a state to go on from. */
static bool step(struct walk *walk, const struct state *from, unsigned self, unsigned choice)
{
	struct state to = *from;
	struct thread *thread = &to.threads[self];
	enum op op = next_op(walk->protocol, from, self);

	if (op == DONE || (op_loads(op) ? !perform_load(walk, &to, thread, op, choice)
					: !perform_other(walk, &to, self, op)))
		return false;
	thread->at++;
	if ((self == OWNER ? walk->protocol->owner : walk->protocol->thief)[thread->at] == DONE) {
		thread->at = 0;
		thread->rounds--;
	}
	walk_add(walk, &to);
	return true;
}

static bool step_memory(struct walk *walk, const struct state *from, unsigned self)
{
	bool went = false;
	struct state to = *from;

	if (flush(&to, &to.threads[self])) {
		walk_add(walk, &to);
		went = true;
	}
	for (unsigned caller = 0; caller < THREADS; caller++) {
		to = *from;
		if (fence_due(&to, &to.threads[self], caller)) {
			walk_add(walk, &to);
			went = true;
		}
	}
	return went;
}

static void walk_from(struct walk *walk, size_t index)
{
	const struct state from = walk->states[index];
	bool went = false;
	bool done = true;

	for (unsigned self = 0; self < THREADS; self++) {
		enum op op = next_op(walk->protocol, &from, self);
		unsigned choices = 1;

		if (op_loads(op))
			choices = load_choices(
				walk->memory, &from, &from.threads[self], op_place(op));
		for (unsigned choice = 0; choice < choices; choice++)
			went |= step(walk, &from, self, choice);
		went |= step_memory(walk, &from, self);
		done = done && op == DONE;
	}
	if (!went && !done)
		walk->verdict = STUCK;
}

static enum verdict walk_all(const struct protocol *protocol, enum memory memory, size_t *states)
{
	struct walk walk = {.protocol = protocol, .memory = memory, .verdict = SOUND};
	struct state start;

	memset(&start, 0, sizeof start);
	start.threads[OWNER].rounds = protocol->owner_rounds;
	for (unsigned i = 1; i <= protocol->thieves; i++)
		start.threads[i].rounds = protocol->thief_rounds;
	memset(start.stores, 1, sizeof start.stores);
	walk_add(&walk, &start);
	for (size_t i = 0; i < walk.count && walk.verdict == SOUND; i++)
		walk_from(&walk, i);
	*states = walk.count;
	free(walk.states);
	free(walk.slots);
	return walk.verdict;
}

/* Verdicts ---------------------------------------------------------------- */

static void walk_protocols(enum memory memory)
{
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		size_t states;
		enum verdict verdict = walk_all(&protocols[i], memory, &states);

		print_message("# %s: %zu states\n", protocols[i].name, states);
		if (verdict != protocols[i].verdict[memory])
			fail_msg("%s: verdict %d, not %d", protocols[i].name, (int)verdict,
				(int)protocols[i].verdict[memory]);
	}
}

static void test_every_interleaving_with_store_buffers(void **state)
{
	(void)state;
	walk_protocols(TSO);
}

static void test_every_interleaving_with_views(void **state)
{
	(void)state;
	walk_protocols(VIEWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_interleaving_with_store_buffers),
		cmocka_unit_test(test_every_interleaving_with_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
