#include "shim/trace_format.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/wait.h>

/*
 * What is recorded of a program whose calls are known, and traces as text.
 *
 *	trace calls		makes known calls between two marks; says which on stdout, and
 *				how many ns they took
 *	trace fork		a child makes them; says its pid, then which
 *	trace threads		threads that hand blocks to each other
 *	trace killed		makes them, and one a second later, and is killed
 *	trace print FILE [NS]	the records between the marks, a line each, as calls has them;
 *				fails where more than NS lie between the first and the last
 *	trace make		a trace on stdout of lines on stdin: OPERATION GAP_NS and what it
 *has
 */

/* Sizes that nothing else asks for. */
#define MARK_BEGIN 777771U
#define MARK_END 777773U
/* The call after it comes PAUSE_NS later or more. */
#define MARK_PAUSE 7773U

#define PAUSE_NS 200000000U
#define LINES 64
#define SLOTS 64
#define THREADS 4
#define TURNS 20000

static const char *const names[TRACE_OPS] = {
	[TRACE_END] = "end",
	[TRACE_THREAD] = "thread",
	[TRACE_MALLOC] = "malloc",
	[TRACE_CALLOC] = "calloc",
	[TRACE_MEMALIGN] = "memalign",
	[TRACE_REALLOC] = "realloc",
	[TRACE_FREE] = "free",
};

void *_Znwm(size_t size) __attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */
void _ZdlPv(void *ptr) __attribute__((weak));   /* NOLINT(bugprone-reserved-identifier) */
void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
	__attribute__((weak)); /* NOLINT(bugprone-reserved-identifier) */

static struct trace_record expected[LINES];
static size_t expected_count;

/* Returns the block, where errno was kept. */
static void *note(
	enum trace_op op, uintptr_t old, size_t bytes, void *block, unsigned alignment_log2)
{
	CHECK(errno == EXDEV && expected_count < LINES);
	expected[expected_count++] = (struct trace_record){
		.op = op,
		.old = old,
		.bytes = bytes,
		.block = (uintptr_t)block,
		.alignment_log2 = alignment_log2,
	};
	return check_opaque(block);
}

static void note_free(void *block)
{
	note(TRACE_FREE, (uintptr_t)block, 0, NULL, 0);
}

static void print(const struct trace_record *record)
{
	static size_t bytes_before;

	if (bytes_before == MARK_PAUSE)
		puts(record->gap_ns >= PAUSE_NS ? "pause" : "no pause");
	bytes_before = record->bytes;
	printf("%s %llx %llu %llx %u\n", names[record->op], (unsigned long long)record->old,
		(unsigned long long)record->bytes, (unsigned long long)record->block,
		record->alignment_log2);
}

static void make_aligned(void *blocks[5])
{
	blocks[0] = note(TRACE_MEMALIGN, 0, 300, memalign(48, 300), 6);
	blocks[1] = note(TRACE_MEMALIGN, 0, 64, aligned_alloc(32, 64), 5);
	blocks[2] = note(TRACE_MEMALIGN, 0, 10, valloc(10), 12);
	blocks[3] = note(TRACE_MEMALIGN, 0, 4096, pvalloc(10), 12);
	CHECK(posix_memalign(&blocks[4], 4096, 70000) == 0);
	note(TRACE_MEMALIGN, 0, 70000, blocks[4], 12);
}

static void make_and_free(void)
{
	void *aligned[5];
	void *a = note(TRACE_MALLOC, 0, 100, malloc(100), 0);
	void *b = note(TRACE_CALLOC, 0, 150, calloc(3, 50), 0);
	void *c = note(TRACE_MALLOC, 0, 200, realloc(NULL, 200), 0);
	void *d = note(TRACE_MALLOC, 0, 200000, malloc(200000), 0);
	void *e = note(TRACE_MALLOC, 0, 40, _Znwm(40), 0);
	void *f = note(TRACE_MEMALIGN, 0, 50, _ZnwmSt11align_val_t(50, 128), 7);
	void *g;
	uintptr_t old = (uintptr_t)c;

	c = note(TRACE_REALLOC, old, 5000, realloc(check_opaque(c), 5000), 0);
	old = (uintptr_t)c;
	c = note(TRACE_REALLOC, old, 7000, reallocarray(check_opaque(c), 7, 1000), 0);
	old = (uintptr_t)d;
	d = note(TRACE_REALLOC, old, 300000, realloc(check_opaque(d), 300000), 0);
	make_aligned(aligned);
	/* What fails or does nothing is not recorded. */
	CHECK(check_opaque(malloc(check_hidden(SIZE_MAX / 2))) == NULL);
	CHECK(check_opaque(calloc(check_hidden(SIZE_MAX / 2), 3)) == NULL);
	CHECK(check_opaque(realloc(check_opaque(d), check_hidden(SIZE_MAX / 2))) == NULL);
	errno = EXDEV;
	free(NULL);
	for (int i = 0; i < 5; i++) {
		note_free(aligned[i]);
		free(aligned[i]);
	}
	note_free(a);
	free(a);
	note_free(b);
	CHECK(check_opaque(realloc(check_opaque(b), 0)) == NULL);
	g = note(TRACE_MALLOC, 0, MARK_PAUSE, malloc(MARK_PAUSE), 0);
	usleep(PAUSE_NS / 1000 * 3 / 2);
	note_free(g);
	expected[expected_count - 1].gap_ns = PAUSE_NS;
	free(g);
	note_free(c);
	free(c);
	note_free(d);
	free(d);
	note_free(e);
	_ZdlPv(e);
	note_free(f);
	_ZdlPv(f);
}

static void mark(size_t bytes)
{
	CHECK(check_opaque(malloc(bytes)) != NULL);
}

static void calls(void)
{
	uint64_t begin_ns = patience_now_ns();

	mark(MARK_BEGIN);
	errno = EXDEV;
	make_and_free();
	mark(MARK_END);
	begin_ns = patience_now_ns() - begin_ns;
	for (size_t i = 0; i < expected_count; i++)
		print(&expected[i]);
	printf("took %llu\n", (unsigned long long)begin_ns);
	fflush(stdout);
}

static void fork_and_call(void)
{
	int status;
	pid_t child;

	mark(1000);
	child = fork();
	if (child == 0) {
		printf("%d\n", (int)getpid());
		calls();
		exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void *_Atomic slots[SLOTS];

static void *hand_over(void *seed)
{
	unsigned random = (unsigned)(uintptr_t)seed;

	for (int i = 0; i < TURNS; i++) {
		void *block;

		random = random * 1103515245 + 12345;
		block = malloc(16U << (random >> 16) % 8);
		block = atomic_exchange(&slots[(random >> 20) % SLOTS], check_opaque(block));
		if ((random >> 8) % 4 == 0)
			block = check_opaque(realloc(block, 16U << (random >> 24) % 12));
		free(block);
	}
	return NULL;
}

static void on_alarm(int number)
{
	(void)number;
}

static void threads(void)
{
	pthread_t others[THREADS];
	struct itimerval every = {{0, 1000}, {0, 1000}};

	signal(SIGALRM, on_alarm);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&others[i], NULL, hand_over, (void *)(i + 1)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(others[i], NULL) == 0);
}

static void killed(void)
{
	calls();
	usleep(1100000);
	mark(1000);
	raise(SIGKILL);
}

static int print_file(const char *path, uint64_t most_ns)
{
	static unsigned char bytes[1 << 20];
	FILE *file = fopen(path, "r");
	size_t length = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
	const unsigned char *at = bytes + TRACE_HEADER_BYTES;
	const unsigned char *end = bytes + length;
	struct trace_record record = {.op = TRACE_THREAD};
	uint64_t before = 0;
	uint64_t gaps_ns = 0;
	bool on = false;

	CHECK(length >= TRACE_HEADER_BYTES && memcmp(bytes, TRACE_MAGIC, TRACE_HEADER_BYTES) == 0);
	while (at < end) {
		CHECK(trace_get(&at, end, &record, &before));
		on = on && record.bytes != MARK_END;
		if (on) {
			print(&record);
			gaps_ns += record.gap_ns;
		}
		on = on || record.bytes == MARK_BEGIN;
	}
	printf("%s\n", record.op == TRACE_END ? "whole" : "not whole");
	CHECK(gaps_ns <= most_ns);
	return fclose(file);
}

static int make(void)
{
	unsigned char bytes[TRACE_RECORD_BYTES_MAX];
	unsigned long long fields[4];
	uint64_t before = 0;
	char line[200];
	char name[20];

	fwrite(TRACE_MAGIC, 1, TRACE_HEADER_BYTES, stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct trace_record record = {.op = TRACE_OPS};
		int count = sscanf(line, "%19s %llu %llx %llu %llx", name, &fields[0], &fields[1],
			&fields[2], &fields[3]);

		for (unsigned op = 0; op < TRACE_OPS; op++)
			if (strcmp(names[op], name) == 0)
				record.op = (enum trace_op)op;
		CHECK(count == 5 && record.op != TRACE_OPS);
		record.gap_ns = fields[0];
		record.old = fields[1];
		record.bytes = fields[2];
		record.block = fields[3];
		record.alignment_log2 = 6;
		fwrite(bytes, 1, (size_t)(trace_put(bytes, &record, &before) - bytes), stdout);
	}
	return fflush(stdout);
}

int main(int count, char **arguments)
{
	const char *what = count > 1 ? arguments[1] : "";

	if (strcmp(what, "calls") == 0)
		calls();
	else if (strcmp(what, "fork") == 0)
		fork_and_call();
	else if (strcmp(what, "threads") == 0)
		threads();
	else if (strcmp(what, "killed") == 0)
		killed();
	else if (strcmp(what, "print") == 0 && count > 2)
		return print_file(
			arguments[2], count > 3 ? strtoull(arguments[3], NULL, 10) : UINT64_MAX);
	else if (strcmp(what, "make") == 0)
		return make();
	else
		return 2;
	return 0;
}
