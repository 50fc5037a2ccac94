#include "shim/spillway.h"
#include "tests/preload/check.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/wait.h>

/*
 * A service that does as it is told: one command per line on stdin, one line
 * of answer on stdout.  It uses neither stdio streams nor malloc by itself, so
 * what the heap holds is what the commands made.
 *
 *   idle KIB BLOCK     allocates and writes KIB in blocks of BLOCK bytes, frees all
 *   holes KIB BLOCK    the same, but keeps every other block
 *   grow KIB           one block, written to; answers the milliseconds that it took
 *   drop               frees the last grow
 *   tick               a small malloc and free
 *   fork               goes on in a forked child; answers its pid
 *   exec               starts over as the same process
 *   exec-closed FD     the same without the descriptor FD
 *   churn              until the next line, which is dropped: four threads allocate, free
 *                      and check what they wrote, beside a fifth that forks children who
 *                      allocate
 *   keep KIB BLOCK     allocates and writes KIB in blocks of BLOCK bytes
 *   thin               frees every other of the kept blocks
 *   let                frees all of them
 *   clone-exit         makes a bare clone that calls exit, and waits for it
 *   cancel             a thread whose cancellation is pending allocates 4 MiB; answers 1 when it
 *                      got through that to a cancellation point, and 0 when it ended before
 *   worker             answers the id of the scavenger's thread
 *   settings           answers policy, dontneed_only, cpu_permille and price_ns
 *   subscribe          wants to hear of the level in force
 *   told               answers how often it was told, and what it was told last: 100 * N + LEVEL
 *   level              answers the level in force
 *   floor LEVEL        sets the process's own; answers what came of it
 *   exit               ends, as does the end of the input
 */
#define BLOCKS_MAX 200000

static void *blocks[BLOCKS_MAX];
static size_t kept;
static void *grown;
static char *self;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char line[128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	CHECK(write(STDOUT_FILENO, line, (size_t)length) == length);
}

static bool line_read(char *line, size_t bytes)
{
	size_t length = 0;

	while (length + 1 < bytes) {
		if (read(STDIN_FILENO, line + length, 1) != 1)
			return false;
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = '\0';
	return true;
}

static void make_idle(size_t kib, size_t block, bool keep_every_other)
{
	size_t count = kib * KIB / block;

	CHECK(count <= BLOCKS_MAX);
	for (size_t i = 0; i < count; i++) {
		blocks[i] = check_opaque(malloc(block));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, block);
	}
	for (size_t i = 0; i < count; i++)
		if (!keep_every_other || i % 2 == 0)
			free(blocks[i]);
	say("done\n");
}

static void keep(size_t kib, size_t block)
{
	kept = kib * KIB / block;
	CHECK(kept <= BLOCKS_MAX);
	for (size_t i = 0; i < kept; i++)
		memset(blocks[i] = check_opaque(malloc(block)), 1, block);
	say("done\n");
}

/* Frees the kept blocks that are a step apart. */
static void let(size_t step)
{
	for (size_t i = 0; i < kept; i += step) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	say("done\n");
}

static void grow(size_t kib)
{
	double start_s = check_now_s();

	grown = check_opaque(malloc(kib * KIB));
	CHECK(grown != NULL);
	say("%d\n", (int)((check_now_s() - start_s) * 1000));
	memset(grown, 2, kib * KIB);
}

#define CHURN_BLOCKS 400

static _Atomic bool churned;

static size_t churn_random(uint64_t *state, size_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (size_t)(*state % below);
}

/* A block is full of one number that is its own; a fresh one from calloc is full of zeros. */
static void *churn_run(void *unused)
{
	uint64_t *mine[CHURN_BLOCKS] = {NULL};
	size_t words[CHURN_BLOCKS] = {0};
	uint64_t state = (uint64_t)(uintptr_t)&mine | 1;

	while (!atomic_load(&churned)) {
		size_t i = churn_random(&state, CHURN_BLOCKS);

		for (size_t j = 0; j < words[i]; j++)
			CHECK(mine[i][j] == (uintptr_t)mine[i] + i);
		free(mine[i]);
		words[i] = 1 + churn_random(&state, churn_random(&state, 30) == 0 ? 40000 : 200);
		mine[i] = calloc(words[i], sizeof(uint64_t));
		CHECK(mine[i] != NULL);
		for (size_t j = 0; j < words[i]; j++)
			CHECK(mine[i][j] == 0);
		for (size_t j = 0; j < words[i]; j++)
			mine[i][j] = (uintptr_t)mine[i] + i;
		/* Now and then most of it goes, so that there is something to give back. */
		for (size_t k = 0; churn_random(&state, 3000) == 0 && k < CHURN_BLOCKS; k++) {
			free(mine[k]);
			mine[k] = NULL;
			words[k] = 0;
		}
	}
	for (size_t i = 0; i < CHURN_BLOCKS; i++)
		free(mine[i]);
	return unused;
}

static bool line_waits(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&input, 1, 0) != 0;
}

static void churn(void)
{
	char line[128];
	pthread_t threads[4];

	atomic_store(&churned, false);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, churn_run, NULL) == 0);
	while (!line_waits()) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			check_hang();
			check_churn(200, 300);
			check_churn(10, 200 * KIB);
			_exit(7);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	atomic_store(&churned, true);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(line_read(line, sizeof line));
	say("done\n");
}

static void clone_exit(void)
{
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	int status;

	CHECK(child >= 0);
	if (child == 0)
		exit(0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	say("done\n");
}

static _Atomic bool cancel_sent;
static _Atomic bool cancel_outlived;

static void *cancel_run(void *unused)
{
	void *mine[4];

	while (!atomic_load(&cancel_sent))
		;
	for (size_t i = 0; i < 4; i++)
		memset(mine[i] = check_opaque(malloc(MIB)), 1, MIB);
	for (size_t i = 0; i < 4; i++)
		free(mine[i]);
	atomic_store(&cancel_outlived, true);
	pthread_testcancel();
	return unused;
}

static void cancel(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, cancel_run, NULL) == 0);
	CHECK(pthread_cancel(thread) == 0);
	atomic_store(&cancel_sent, true);
	CHECK(pthread_join(thread, NULL) == 0);
	say("%d\n", (int)atomic_load(&cancel_outlived));
}

static void settings(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats(&stats, sizeof stats) == 0);
	say("%u %u %u %llu\n", stats.policy, stats.dontneed_only, stats.cpu_permille,
		(unsigned long long)stats.price_ns);
}

static unsigned level(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats(&stats, sizeof stats) == 0);
	return stats.level;
}

static _Atomic unsigned told;

static void on_level(enum spillway_level now, void *with)
{
	CHECK(with == &told);
	told = (told / 100 + 1) * 100 + (unsigned)now;
}

static void subscribe(void)
{
	CHECK(spillway_subscribe(on_level, &told) == 0);
	say("done\n");
}

static void go_on_in_child(void)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child != 0) {
		waitpid(child, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	say("%d\n", (int)getpid());
}

static void obey(char *line)
{
	size_t a = 0;
	size_t b = 0;
	char *arguments[] = {self, NULL};

	line = strtok(line, " ");
	for (size_t *number = &a; number != NULL; number = number == &a ? &b : NULL) {
		char *word = strtok(NULL, " ");
		*number = word == NULL ? 0 : strtoul(word, NULL, 10);
	}
	if (strcmp(line, "idle") == 0) {
		make_idle(a, b, false);
	} else if (strcmp(line, "holes") == 0) {
		make_idle(a, b, true);
	} else if (strcmp(line, "keep") == 0) {
		keep(a, b);
	} else if (strcmp(line, "thin") == 0) {
		let(2);
	} else if (strcmp(line, "let") == 0) {
		let(1);
	} else if (strcmp(line, "grow") == 0) {
		grow(a);
	} else if (strcmp(line, "drop") == 0) {
		free(grown);
		say("done\n");
	} else if (strcmp(line, "tick") == 0) {
		free(check_opaque(malloc(100)));
		say("done\n");
	} else if (strcmp(line, "fork") == 0) {
		go_on_in_child();
	} else if (strncmp(line, "exec", 4) == 0) {
		if (a != 0)
			close((int)a);
		execv("/proc/self/exe", arguments);
		_exit(1);
	} else if (strcmp(line, "churn") == 0) {
		churn();
	} else if (strcmp(line, "cancel") == 0) {
		cancel();
	} else if (strcmp(line, "clone-exit") == 0) {
		clone_exit();
	} else if (strcmp(line, "worker") == 0) {
		say("%d\n", check_worker());
	} else if (strcmp(line, "settings") == 0) {
		settings();
	} else if (strcmp(line, "subscribe") == 0) {
		subscribe();
	} else if (strcmp(line, "told") == 0) {
		say("%u\n", told);
	} else if (strcmp(line, "level") == 0) {
		say("%u\n", level());
	} else if (strcmp(line, "floor") == 0) {
		say("%d\n", spillway_set_level((enum spillway_level)a));
	} else {
		exit(strcmp(line, "exit") == 0 ? 0 : 2);
	}
}

int main(int count, char **arguments)
{
	char line[128];

	(void)count;
	self = arguments[0];
	say("ready\n");
	while (line_read(line, sizeof line))
		obey(line);
	return 0;
}
