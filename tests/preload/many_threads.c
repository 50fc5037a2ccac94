#include "tests/preload/check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * many_threads WAVE COUNT: threads come and go in waves of so many at once, and
 * leave blocks for the next wave to free.  What dead threads had must serve the
 * living: neither what is resident nor what is mapped may grow from the tenth wave
 * to the last, and when all is freed nothing but a little of each cache is left.
 */
#define LEFT 64
#define STACK_BYTES (64 * KIB)
/* Of one cache: what may stay of each thread that lived at the same time. */
#define CACHE_KIB 16

struct member {
	pthread_t thread;
	void *left[LEFT];
	size_t number;
};

static struct member *members;
static struct member *others;
static pthread_barrier_t all_there;

static size_t size_of(size_t number, size_t i)
{
	return i % 16 == 0 ? 40000 + number % 7 * 10000 : 16 + (number * 31 + i * 97) % 3000;
}

static void *live(void *given)
{
	struct member *member = given;
	struct member *other = &others[(member - members)];

	/* So that the caches of all of them are in use at once. */
	free(check_opaque(malloc(100)));
	pthread_barrier_wait(&all_there);
	for (size_t i = 0; i < LEFT; i++) {
		size_t bytes = size_of(member->number, i);

		member->left[i] = check_opaque(malloc(bytes));
		CHECK(member->left[i] != NULL);
		memset(member->left[i], (int)i, bytes);
		CHECK(other->left[i] == NULL || *(char *)other->left[i] == (char)i);
		free(other->left[i]);
		other->left[i] = NULL;
	}
	check_churn(30, 500);
	return NULL;
}

static void wave(size_t size, const pthread_attr_t *attributes)
{
	static size_t number;
	struct member *swapped = members;

	members = others;
	others = swapped;
	for (size_t i = 0; i < size; i++) {
		members[i].number = number++;
		CHECK(pthread_create(&members[i].thread, attributes, live, &members[i]) == 0);
	}
	for (size_t i = 0; i < size; i++)
		CHECK(pthread_join(members[i].thread, NULL) == 0);
}

static void free_left(size_t size)
{
	for (size_t i = 0; i < size; i++) {
		for (size_t j = 0; j < LEFT; j++) {
			free(members[i].left[j]);
			members[i].left[j] = NULL;
		}
	}
	malloc_trim(0);
}

static long rss_kib(void)
{
	return check_proc_number("/proc/self/smaps_rollup", "Rss", 10);
}

static long mapped_kib(void)
{
	return check_proc_number("/proc/self/status", "VmSize", 10);
}

struct figures {
	long rss_kib;
	long mapped_kib;
};

static struct figures read_figures(void)
{
	return (struct figures){rss_kib(), mapped_kib()};
}

static void say(const char *when, struct figures figures)
{
	printf("%s: resident %ld KiB, mapped %ld KiB\n", when, figures.rss_kib, figures.mapped_kib);
	fflush(stdout);
}

int main(int count, char **arguments)
{
	size_t size = (size_t)atol(count == 3 ? arguments[1] : "4");
	size_t waves = check_soak((size_t)atol(count == 3 ? arguments[2] : "10000")) / size;
	long slack_kib = (long)size * CACHE_KIB + 1024;
	struct figures begin;
	struct figures tenth = {0, 0};
	struct figures last;
	struct figures end;
	pthread_attr_t attributes;

	CHECK(waves > 10);
	members = calloc(size, sizeof *members);
	others = calloc(size, sizeof *others);
	CHECK(members != NULL && others != NULL);
	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
	CHECK(pthread_barrier_init(&all_there, NULL, (unsigned)size) == 0);
	/* The heap's own thread, and the lists of libc. */
	check_churn(100, 100 * KIB);
	CHECK_SOON(10, check_worker() != 0);
	malloc_trim(0);
	begin = read_figures();
	for (size_t i = 0; i < waves; i++) {
		wave(size, &attributes);
		if (i == 10)
			tenth = read_figures();
	}
	last = read_figures();
	free_left(size);
	end = read_figures();
	say("begin", begin);
	say("tenth wave", tenth);
	say("last wave", last);
	say("end", end);
	/* At the tenth wave not all stacks and caches have been as deep as they get. */
	CHECK(last.rss_kib <= tenth.rss_kib + tenth.rss_kib / 4 + 4096);
	CHECK(last.mapped_kib <= tenth.mapped_kib + (long)size * (long)(STACK_BYTES / KIB));
	/* libc keeps the stacks of threads that ended; little of each is resident. */
	CHECK(end.rss_kib <= begin.rss_kib + slack_kib + (long)size * 12);
	CHECK(end.mapped_kib <= last.mapped_kib);
	return 0;
}
