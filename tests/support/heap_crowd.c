#include "tests/support/heap_crowd.h"

#include "shim/heap/base/gate.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/heap_model.h"
#include "tests/support/random.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of each seat.  TSan remembers kilobytes for each page of the heap. */
#ifdef __SANITIZE_THREAD__
#define BLOCKS_MAX 200U
#else
#define BLOCKS_MAX 2000U
#endif
#define SHELF 256U

/* A thread performs up to so many operations before the next one takes its seat. */
#define SITTING_MAX 6000U

struct seat {
	struct heap_model_block blocks[BLOCKS_MAX];
	struct heap_model model;
	uint64_t seed;
	unsigned left; /* operations of this round */
	pthread_t host;
};

struct thief {
	uint64_t seed;
	bool checks;
	pthread_t thread;
};

static struct seat seats[HEAP_CROWD_SEATS_MAX];
static struct thief thieves[HEAP_CROWD_THIEVES_MAX];
static struct heap_model_block *_Atomic shelf[SHELF];
static _Atomic bool stopping;
static const char *_Atomic wrong;

static void found(const char *what)
{
	const char *none = NULL;

	if (what != NULL)
		atomic_compare_exchange_strong(&wrong, &none, what);
}

/* A row that follows from the seed alone, whatever the run's is.  xorshift stands still at 0. */
static void random_seed(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15U;
	if (random_state == 0)
		random_state = 1;
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	if (pthread_create(thread, NULL, run, argument) == 0)
		return;
	perror("heap_crowd: a thread");
	abort();
}

/* Seats ---------------------------------------------------------------- */

/* Changes places with what is on the shelf there. */
static void exchange_block(struct heap_model *model)
{
	struct heap_model_block *block = NULL;

	if (model->count != 0 && random_below(2) == 0) {
		block = malloc(sizeof *block);
		if (block == NULL)
			return;
		*block = heap_model_give(model, random_next() >> 8);
	}
	block = atomic_exchange(&shelf[random_below(SHELF)], block);
	if (block != NULL)
		heap_model_take(model, *block);
	free(block);
}

static void *sit(void *argument)
{
	struct seat *seat = argument;
	unsigned sitting;

	random_seed(seat->seed++);
	sitting = 1 + (unsigned)random_below(random_below(4) == 0 ? 50 : SITTING_MAX);
	if (sitting > seat->left)
		sitting = seat->left;
	for (unsigned i = 0; i < sitting && seat->model.wrong[0] == '\0'; i++) {
		struct heap_operation operation = heap_model_random();

		if (random_below(8) == 0)
			exchange_block(&seat->model);
		else
			heap_model_perform(&seat->model, &operation);
	}
	seat->left -= sitting;
	/* Whatever comes after the exit goes without a cache. */
	cache_thread_exit();
	if (random_below(2) == 0)
		exchange_block(&seat->model);
	return NULL;
}

static void *host(void *argument)
{
	struct seat *seat = argument;

	while (seat->left != 0 && seat->model.wrong[0] == '\0') {
		pthread_t guest;

		start(&guest, sit, seat);
		pthread_join(guest, NULL);
	}
	return NULL;
}

/* Others --------------------------------------------------------------- */

static void *steal(void *argument)
{
	struct thief *thief = argument;

	random_seed(thief->seed);
	while (!atomic_load(&stopping)) {
		struct heap_pass pass = heap_model_random().pass;
		struct heap_stats stats;

		if (random_below(4) == 0)
			pass.idle_before_ns = os_now_ns() - random_below(20000000);
		if (random_below(4) == 0)
			pass.slabs_idle_before_ns = os_now_ns() - random_below(20000000);
		heap_scavenge(&pass, (enum heap_cause)random_below(HEAP_CAUSES));
		heap_stats_read(&stats);
		if (pass.lazy_bytes + pass.clean_bytes > pass.max_bytes)
			found("a pass did more than it was asked for");
		if (thief->checks && random_below(20) == 0)
			found(heap_check());
		sched_yield();
	}
	return NULL;
}

/* The others of the process are gone, in the middle of what they did. */
static int child_main(void)
{
	static struct heap_model_block blocks[500];
	struct heap_model model = {.blocks = blocks, .room = 500, .may_run_out = true};

	found(heap_check());
	atomic_store(&fake_os.refuse_at, 0);
	model.may_run_out = false;
	for (int i = 0; i < 2000; i++) {
		struct heap_operation operation = heap_model_random();

		heap_model_perform(&model, &operation);
	}
	heap_model_drop_all(&model);
	found(heap_check());
	if (atomic_load(&wrong) != NULL)
		fprintf(stderr, "in a child: %s\n", atomic_load(&wrong));
	if (model.wrong[0] != '\0')
		fprintf(stderr, "in a child: %s\n", model.wrong);
	return atomic_load(&wrong) != NULL || model.wrong[0] != '\0';
}

static void fork_and_wait(void)
{
	int status = 0;
	pid_t child;

	heap_fork_prepare();
	child = fork();
	if (child == 0) {
		heap_fork_child();
		/* A bare call: TSan's _exit tells of threads that ended in the parent and wait to
		 * be joined. */
		syscall(SYS_exit_group, child_main());
	}
	heap_fork_parent();
	waitpid(child, &status, 0);
	if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		found("the heap of a forked child is broken");
}

/* Weather -------------------------------------------------------------- */

static bool open_gate(size_t bytes)
{
	return bytes % 3 == 0;
}

static bool scavenging_gate(size_t bytes)
{
	struct heap_pass pass = {
		.level = HEAP_EAGER, .max_bytes = 1 << 20, .idle_before_ns = UINT64_MAX};

	heap_scavenge(&pass, HEAP_GROWTH);
	return bytes % 3 == 0;
}

/* Which of the kernel's promises hold in this round; true: memory may run out. */
static bool weather_make(void)
{
	static bool (*const gates[])(size_t bytes) = {NULL, NULL, open_gate, scavenging_gate};
	bool refuses = random_below(4) == 0;

	atomic_store(&fake_os.refuse_advice, random_below(8) == 0);
	atomic_store(&fake_os.refuse_fence, random_below(8) == 0);
	atomic_fetch_add(&fake_os.now_ahead_ns, random_below(3) * 700000000U);
	atomic_store(&fake_os.refuse_all_from, random_below(3) == 0);
	atomic_store(&fake_os.refuse_at,
		refuses ? atomic_load(&fake_os.calls) + 1 + random_below(100) : 0);
	gate_set(gates[random_below(4)]);
	return refuses;
}

static void weather_end(void)
{
	atomic_store(&fake_os.refuse_advice, false);
	atomic_store(&fake_os.refuse_fence, false);
	atomic_store(&fake_os.refuse_at, 0);
	gate_set(NULL);
}

/* Rounds --------------------------------------------------------------- */

/* Quiet: every model and the shelf together are what the heap must have. */
static void compare(const struct heap_crowd *crowd)
{
	static char text[sizeof seats[0].model.wrong];
	uint64_t blocks = 0;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < crowd->seats; i++) {
		heap_model_verify(&seats[i].model);
		blocks += seats[i].model.count;
		bytes += seats[i].model.bytes;
		if (seats[i].model.wrong[0] == '\0' || atomic_load(&wrong) != NULL)
			continue;
		memcpy(text, seats[i].model.wrong, sizeof text);
		found(text);
	}
	for (unsigned i = 0; i < SHELF; i++) {
		const struct heap_model_block *block = atomic_load(&shelf[i]);

		blocks += block != NULL;
		bytes += block != NULL ? block->size : 0;
	}
	found(heap_model_check_heap(blocks, bytes));
}

static void play_round(const struct heap_crowd *crowd)
{
	bool may_run_out = weather_make();

	atomic_store(&stopping, false);
	for (unsigned i = 0; i < crowd->thieves; i++) {
		thieves[i].seed = random_next();
		thieves[i].checks = i == 0;
		start(&thieves[i].thread, steal, &thieves[i]);
	}
	for (unsigned i = 0; i < crowd->seats; i++) {
		seats[i].seed = random_next();
		seats[i].left = crowd->operations;
		seats[i].model.may_run_out = may_run_out;
		start(&seats[i].host, host, &seats[i]);
	}
	for (unsigned i = 0; crowd->forks && i < 4; i++)
		fork_and_wait();
	for (unsigned i = 0; i < crowd->seats; i++)
		pthread_join(seats[i].host, NULL);
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < crowd->thieves; i++)
		pthread_join(thieves[i].thread, NULL);
	weather_end();
	compare(crowd);
}

static void clear_away(const struct heap_crowd *crowd)
{
	for (unsigned i = 0; i < SHELF; i++) {
		struct heap_model_block *block = atomic_exchange(&shelf[i], NULL);

		if (block != NULL)
			heap_model_take(&seats[0].model, *block);
		free(block);
	}
	for (unsigned i = 0; i < crowd->seats; i++)
		heap_model_drop_all(&seats[i].model);
	compare(crowd);
	cache_thread_exit();
	found(heap_model_check_empty());
}

const char *heap_crowd_live(const struct heap_crowd *crowd)
{
	random_seed(crowd->seed);
	atomic_store(&wrong, NULL);
	for (unsigned i = 0; i < crowd->seats; i++) {
		struct heap_model *model = &seats[i].model;

		*model = (struct heap_model){.blocks = seats[i].blocks, .room = BLOCKS_MAX};
	}
	for (unsigned i = 0; i < crowd->rounds && atomic_load(&wrong) == NULL; i++)
		play_round(crowd);
	if (atomic_load(&wrong) == NULL)
		clear_away(crowd);
	return atomic_load(&wrong);
}
