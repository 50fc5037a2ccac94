#include "tests/preload/check.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

/*
 * A program that writes into what it has freed breaks only itself: nothing of
 * the heap lies in free memory.  Garbage goes over every freed byte, again and
 * again while the memory is used anew and given back, and no live block, and no
 * later call, may take notice.  What has gone back as a whole cannot be written to.
 */
#define BLOCKS 6000
#define ROUNDS 12

static unsigned char *blocks[BLOCKS];
static size_t bytes[BLOCKS];
static bool live[BLOCKS];
static unsigned seed = 12345;

static unsigned next(unsigned below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void take(size_t i)
{
	size_t size = next(40) == 0 ? next(300000) : next(next(8) == 0 ? 20000 : 500);

	blocks[i] = check_opaque(malloc(size));
	CHECK(blocks[i] != NULL);
	bytes[i] = malloc_usable_size(blocks[i]);
	live[i] = true;
	memset(blocks[i], (int)(i & 0x7f), bytes[i]);
}

static __attribute__((noinline)) void release(size_t i)
{
	live[i] = false;
	free(check_opaque(blocks[i]));
}

static sigjmp_buf gone;
static volatile sig_atomic_t writing;

static void on_fault(int number)
{
	if (writing != 0)
		siglongjmp(gone, 1);
	signal(number, SIG_DFL);
}

static void write_garbage(void)
{
	for (volatile size_t i = 0; i < BLOCKS; i++) {
		if (live[i])
			continue;
		writing = 1;
		if (sigsetjmp(gone, 1) == 0)
			memset(blocks[i], 0xf0 + (int)next(16), bytes[i]);
		writing = 0;
	}
}

static void check_live(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		for (size_t j = 0; live[i] && j < bytes[i]; j++)
			CHECK(blocks[i][j] == (i & 0x7f));
}

static void *work(void *unused)
{
	check_churn(3000, 300);
	check_churn(50, 100000);
	return unused;
}

/* Blocks that were handed out again are live; what is free now is what nobody got. */
static void take_half(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (!live[i] && next(2) == 0)
			take(i);
	for (size_t i = 0; i < BLOCKS; i++) {
		for (size_t j = 0; live[i] && j < BLOCKS; j++)
			if (!live[j] && bytes[j] != 0 && blocks[j] < blocks[i] + bytes[i] &&
				blocks[i] < blocks[j] + bytes[j])
				bytes[j] = 0;
	}
}

static void run_thread(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

int main(void)
{
	signal(SIGSEGV, on_fault);
	/* libc keeps what it allocates for its first threads; not in what is free later. */
	check_churn(100, 100000);
	run_thread();
	for (size_t i = 0; i < BLOCKS; i++)
		take(i);
	for (size_t round = 0; round < check_soak(ROUNDS); round++) {
		for (size_t i = 0; i < BLOCKS; i++)
			if (live[i] && next(3) != 0)
				release(i);
		write_garbage();
		if (round % 3 == 1)
			malloc_trim(0);
		write_garbage();
		if (round % 3 == 2)
			run_thread();
		take_half();
		write_garbage();
		check_live();
	}
	for (size_t i = 0; i < BLOCKS; i++)
		if (live[i])
			release(i);
	malloc_trim(0);
	check_churn(10000, 1000);
	return 0;
}
