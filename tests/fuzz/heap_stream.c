#include "tests/fuzz/heap_stream.h"

#include "shim/heap/base/gate.h"
#include "shim/heap/base/page.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/fuzz/heap_actors.h"
#include "tests/fuzz/heap_bytes.h"
#include "tests/support/fake_os.h"
#include "tests/support/heap_fresh.h"
#include "tests/support/heap_model.h"
#include "tests/support/panic.h"

#define BLOCKS_MAX 8192U
#define FREED_MAX 16U
#define MIB ((size_t)1 << 20)

/* What all blocks together may hold: the fuzzer has a machine to share. */
#define BYTES_MAX (16 * MIB)

/* What an actor's call waits for, with no lock held that others could need. */
enum waiting { NOT_WAITING, FOR_ADVICE, FOR_FENCE, FOR_GATE };

#define IN(waiting) (1U << (waiting))
#define IN_ALL (IN(NOT_WAITING) | IN(FOR_ADVICE) | IN(FOR_FENCE) | IN(FOR_GATE))
#define IN_MOST (IN(NOT_WAITING) | IN(FOR_ADVICE) | IN(FOR_GATE))

struct stream {
	struct heap_bytes bytes;
	struct heap_model model;
	unsigned actor;
	bool left;              /* its thread is to end, and another to begin */
	void *freed[FREED_MAX]; /* blocks that were, the last ones */
	unsigned freed_count;
	bool misused;
	/* What other actors do while a call of this one waits for something. */
	unsigned planned; /* operations, once that is so */
	enum waiting planned_for;
	enum waiting waiting; /* now */
	unsigned waiting_actor;
	unsigned waiting_left; /* operations */
	bool in_pass;
	bool gate_scavenges;
	bool always_scarce;
	bool leaks; /* slots in caches that a fork had to forget stay used */
	const char *wrong;
};

static struct stream playing;

/* Reading --------------------------------------------------------------- */

static unsigned read_byte(struct stream *stream)
{
	return heap_bytes_one(&stream->bytes);
}

/* Blocks ---------------------------------------------------------------- */

static void remember(struct stream *stream, size_t which)
{
	const struct heap_model *model = &stream->model;

	if (model->count != 0)
		stream->freed[stream->freed_count++ % FREED_MAX] =
			model->blocks[which % model->count].at;
}

static void perform(struct stream *stream, struct heap_operation operation)
{
	if (operation.call == HEAP_CALL_FREE)
		remember(stream, operation.which);
	heap_model_perform(&stream->model, &operation);
}

static void play_call(struct stream *stream, enum heap_call call)
{
	struct heap_operation operation = heap_bytes_operation(&stream->bytes, call);

	if (call != HEAP_CALL_WIDE && stream->model.bytes + operation.size > BYTES_MAX)
		operation.size %= 256;
	stream->in_pass = call == HEAP_CALL_SCAVENGE && stream->waiting == NOT_WAITING;
	perform(stream, operation);
	stream->in_pass = false;
}

/* Many blocks of one size: what fills bins, slabs and chunks. */
static void play_burst(struct stream *stream)
{
	size_t count = read_byte(stream) + 1;
	size_t size = heap_bytes_size(&stream->bytes);

	for (size_t i = 0; i < count && stream->model.bytes + size < BYTES_MAX; i++) {
		size_t had = stream->model.count;

		perform(stream, (struct heap_operation){.call = HEAP_CALL_MALLOC, .size = size});
		/* Where memory is out and some is on its way, the next would wait as long. */
		if (stream->model.count <= had)
			return;
	}
}

/* Many blocks go, every so-manieth of them: what makes holes. */
static void play_thin_out(struct stream *stream)
{
	size_t count = read_byte(stream) * 4 + 1;
	size_t step = read_byte(stream) % 16 + 1;
	size_t which = heap_bytes_pair(&stream->bytes);

	for (size_t i = 0; i < count && stream->model.count != 0; i++, which += step)
		perform(stream, (struct heap_operation){.call = HEAP_CALL_FREE, .which = which});
}

/* Threads --------------------------------------------------------------- */

/* One whose call waits is not to be had. */
static void play_actor(struct stream *stream)
{
	unsigned actor = read_byte(stream) % HEAP_ACTORS;

	if (stream->waiting == NOT_WAITING || actor != stream->waiting_actor)
		stream->actor = actor;
}

/* It may go on using the heap, or the next thread begins. */
static void play_exit(struct stream *stream)
{
	cache_thread_exit();
	stream->left = read_byte(stream) % 4 != 0;
}

/* The child goes on: the other actors are no more. */
static void play_fork(struct stream *stream)
{
	heap_fork_prepare();
	if (read_byte(stream) % 4 == 0) {
		heap_fork_parent();
		return;
	}
	heap_fork_child();
	heap_actors_end_all_but(stream->actor);
	stream->leaks |= atomic_load(&fake_os.refuse_fence);
}

static void use_heap_in_hook(void)
{
	heap_free(heap_malloc(40));
}

static void play_hook(struct stream *stream)
{
	cache_set_hook(read_byte(stream) % 2 != 0 ? use_heap_in_hook : NULL);
}

/* When a call of this actor waits for something next, others perform that many operations. */
static void play_meanwhile(struct stream *stream)
{
	unsigned kind = read_byte(stream);

	stream->planned_for = (enum waiting)(FOR_ADVICE + kind % 3);
	stream->planned = 1 + kind / 3 % 32;
}

static void play_operation(struct stream *stream);

static bool goes_on(const struct stream *stream)
{
	return stream->bytes.at < stream->bytes.end && stream->wrong == NULL &&
	       stream->model.wrong[0] == '\0' &&
	       (stream->waiting == NOT_WAITING || stream->waiting_left != 0);
}

/* In the thread of one actor, until it is another's turn. */
static void play_turn(void *with)
{
	struct stream *stream = with;
	unsigned actor = stream->actor;

	while (goes_on(stream) && stream->actor == actor && !stream->left) {
		if (stream->waiting != NOT_WAITING)
			stream->waiting_left--;
		play_operation(stream);
	}
}

static void play_turns(struct stream *stream)
{
	while (goes_on(stream)) {
		unsigned actor = stream->actor;

		heap_actors_let(actor, play_turn, stream);
		if (stream->left)
			heap_actors_end(actor);
		stream->left = false;
	}
}

static void wait_for(enum waiting what)
{
	struct stream *stream = &playing;
	unsigned actor = stream->actor;

	if (stream->waiting != NOT_WAITING || stream->planned == 0 || stream->planned_for != what)
		return;
	stream->waiting_left = stream->planned;
	stream->planned = 0;
	stream->waiting = what;
	stream->waiting_actor = actor;
	stream->actor = (actor + 1) % HEAP_ACTORS;
	play_turns(stream);
	stream->waiting = NOT_WAITING;
	stream->actor = actor;
}

/* The kernel ------------------------------------------------------------ */

static void grant(struct stream *stream)
{
	atomic_store(&fake_os.refuse_at, 0);
	atomic_store(&fake_os.refuse_all_from, false);
	stream->model.may_run_out = stream->always_scarce;
}

static void play_refuse(struct stream *stream)
{
	unsigned kind = read_byte(stream);

	if (kind % 4 == 0) {
		grant(stream);
		return;
	}
	atomic_store(&fake_os.refuse_all_from, kind % 4 == 1);
	atomic_store(&fake_os.refuse_at, atomic_load(&fake_os.calls) + 1 + kind / 4);
	stream->model.may_run_out = true;
}

static void play_knobs(struct stream *stream)
{
	unsigned kind = read_byte(stream);

	atomic_store(&fake_os.refuse_advice, kind % 4 == 1);
	atomic_store(&fake_os.refuse_fence, kind % 4 == 2);
	atomic_fetch_add(&fake_os.now_ahead_ns, (uint64_t)(kind / 4) * 50000000U);
}

static bool open_gate(size_t bytes)
{
	wait_for(FOR_GATE);
	return bytes % 2 == 0 && bytes % 3 != 0;
}

static bool scavenging_gate(size_t bytes)
{
	struct heap_pass pass = {
		.level = (enum heap_level)(bytes / PAGE_BYTES % HEAP_LEVELS),
		.max_bytes = bytes,
		.idle_before_ns = UINT64_MAX,
	};

	wait_for(FOR_GATE);
	heap_scavenge(&pass, HEAP_GROWTH);
	return true;
}

static bool is_heap_page(const void *at)
{
	uintptr_t start;
	size_t pages;

	for (size_t i = 0; page_heap_region_locked(i, &start, &pages); i++)
		if ((uintptr_t)at - start < pages * PAGE_BYTES)
			return true;
	return false;
}

/*
 * While a thief waits for the fence, or gives a cache's arrays back, it has the lock
 * of that cache, for which the owner must wait when it ends or scavenges in turn:
 * no pass, then, also not for want of memory.  In a fork the registry is locked, too.
 */
static void kernel_waits(enum fake_os_call call, const void *start)
{
	if (call == FAKE_OS_ADVISE && is_heap_page(start))
		wait_for(FOR_ADVICE);
	else if (playing.in_pass && !playing.model.may_run_out && !playing.gate_scavenges)
		wait_for(FOR_FENCE);
}

static void play_gate(struct stream *stream)
{
	static bool (*const gates[])(size_t bytes) = {NULL, open_gate, scavenging_gate};

	unsigned kind = read_byte(stream) % 3;

	gate_set(gates[kind]);
	stream->gate_scavenges = kind == 2;
}

/* Checking -------------------------------------------------------------- */

static void play_check(struct stream *stream)
{
	struct heap_model *model = &stream->model;

	heap_model_verify(model);
	if (stream->wrong == NULL)
		stream->wrong = stream->leaks ? heap_check()
					      : heap_model_check_heap(model->count, model->bytes);
}

static bool is_live(const struct stream *stream, const void *pointer)
{
	for (size_t i = 0; i < stream->model.count; i++)
		if (stream->model.blocks[i].at == pointer)
			return true;
	return false;
}

static void end_kernel(struct stream *stream)
{
	grant(stream);
	atomic_store(&fake_os.refuse_advice, false);
	atomic_store(&fake_os.refuse_fence, false);
	atomic_store(&fake_os.meanwhile, NULL);
	gate_set(NULL);
	cache_set_hook(NULL);
}

static void leave(void *unused)
{
	(void)unused;
	cache_thread_exit();
}

/* At the latest when every cache is emptied the pointer must have shown. */
static void misuse(void *pointer)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	end_kernel(&playing);
	heap_free(pointer);
	heap_scavenge(&pass, HEAP_BY_FULL);
}

/* Frees what was freed before or lies inside a block.  A fork is dear: once a stream. */
static void play_misuse(struct stream *stream)
{
	void *pointer;
	size_t which = heap_bytes_pair(&stream->bytes);

	/* A block in a cache that a fork had to forget cannot be told from one in use. */
	if (stream->misused || stream->leaks)
		return;
	if (which % 2 == 0 || stream->model.count == 0) {
		pointer = stream->freed[which / 2 % FREED_MAX];
	} else {
		const struct heap_model_block *block =
			&stream->model.blocks[which / 2 % stream->model.count];

		pointer = block->at + 1 + which * which % heap_usable_size(block->at);
	}
	if (pointer == NULL || is_live(stream, pointer))
		return;
	stream->misused = true;
	if (!panic_says(misuse, pointer, "free(): "))
		stream->wrong = "a pointer to no block was freed and nothing said";
}

/* Playing --------------------------------------------------------------- */

static void play_settings(struct stream *stream)
{
	static const size_t page_bytes[] = {0, 0, 16384, 65536};
	static const size_t reserve_bytes[] = {0, 0, 0, 8 * MIB, 20 * MIB, 33 * MIB, 40 * MIB, 0};
	unsigned kind = read_byte(stream);

	atomic_store(&fake_os.page_bytes, page_bytes[kind % 4]);
	atomic_store(&fake_os.reserve_bytes_max, reserve_bytes[kind / 4 % 8]);
	stream->always_scarce = reserve_bytes[kind / 4 % 8] != 0;
	stream->model.may_run_out = stream->always_scarce;
	/* Whatever comes first may be refused. */
	kind = read_byte(stream);
	if (kind >= 192) {
		atomic_store(&fake_os.refuse_at, kind % 32 + 1);
		atomic_store(&fake_os.refuse_all_from, (kind & 32) != 0);
		stream->model.may_run_out = true;
	}
}

static void play_operation(struct stream *stream)
{
	/* Up to this byte, and while another actor's call waits for what. */
	static const struct {
		unsigned below;
		void (*play)(struct stream *stream); /* NULL: the call */
		enum heap_call call;
		unsigned allowed;
	} plays[] = {
		{58, NULL, HEAP_CALL_MALLOC, IN_ALL},
		{70, NULL, HEAP_CALL_CALLOC, IN_ALL},
		{82, NULL, HEAP_CALL_MEMALIGN, IN_ALL},
		{108, NULL, HEAP_CALL_REALLOC, IN_ALL},
		{158, NULL, HEAP_CALL_FREE, IN_ALL},
		{164, NULL, HEAP_CALL_USE, IN_ALL},
		{178, NULL, HEAP_CALL_SCAVENGE, IN_MOST},
		{182, NULL, HEAP_CALL_WIDE, IN_MOST},
		{200, play_burst, 0, IN_ALL},
		{218, play_thin_out, 0, IN_ALL},
		{226, play_actor, 0, IN_ALL},
		{230, play_exit, 0, IN_MOST},
		{233, play_fork, 0, IN(NOT_WAITING)},
		{234, play_hook, 0, IN_ALL},
		{239, play_refuse, 0, IN_MOST},
		{243, play_knobs, 0, IN_MOST},
		{246, play_gate, 0, IN_MOST},
		{251, play_meanwhile, 0, IN(NOT_WAITING)},
		{254, play_check, 0, IN(NOT_WAITING)},
		{256, play_misuse, 0, IN(NOT_WAITING)},
	};
	unsigned code = read_byte(stream);
	size_t i = 0;

	while (code >= plays[i].below)
		i++;
	if ((plays[i].allowed & IN(stream->waiting)) == 0)
		return;
	if (plays[i].play != NULL)
		plays[i].play(stream);
	else
		play_call(stream, plays[i].call);
}

/* In the thread of an actor: it makes a cache that is to be left. */
static void play_end(void *with)
{
	struct stream *stream = with;

	end_kernel(stream);
	play_check(stream);
	heap_model_drop_all(&stream->model);
	play_check(stream);
}

const char *heap_stream_play(const uint8_t *bytes, size_t count)
{
	/* One more than the model is told of: another actor's may come while a call waits. */
	static struct heap_model_block blocks[BLOCKS_MAX + 1];
	struct stream *stream = &playing;

	*stream = (struct stream){
		.bytes = {.at = bytes, .end = bytes + count},
		.model = {.blocks = blocks, .room = BLOCKS_MAX},
	};
	heap_fresh();
	atomic_store(&fake_os.meanwhile, kernel_waits);
	play_settings(stream);
	play_turns(stream);
	heap_actors_let(stream->actor, play_end, stream);
	for (unsigned i = 0; i < HEAP_ACTORS; i++) {
		heap_actors_let(i, leave, NULL);
		heap_actors_end(i);
	}
	if (stream->wrong == NULL && !stream->leaks)
		stream->wrong = heap_model_check_empty();
	return stream->model.wrong[0] != '\0' ? stream->model.wrong : stream->wrong;
}
