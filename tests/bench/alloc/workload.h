#ifndef TESTS_BENCH_ALLOC_WORKLOAD_H
#define TESTS_BENCH_ALLOC_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

/*
 * What allocators are measured with.  A workload does a fixed amount of work
 * from fixed seeds, through malloc and its family only, and writes to what it
 * gets as a program would: small blocks at both ends, large ones in every page
 * or in some.
 */

/* By one thread (workload_single.c). */
void churn(void);    /* 10,000 blocks of 16 .. 1,015 bytes, replaced at random */
void lifo(void);     /* stacks of 64 tiny blocks, built up and torn down */
void grow(void);     /* eight vectors that grow by half, up to 4 MB, appended to */
void zeroed(void);   /* calloc: mostly small, one in twenty up to 256 KiB */
void aligned(void);  /* posix_memalign from 32 to 4,096 */
void fragment(void); /* phases of sizes that do not fit into the last one's holes */

/* Large blocks, by one thread (workload_large.c). */
void large(void); /* 100 blocks of 32 KiB .. 4 MiB, replaced at random, some pages written */
void large_to_4_mib(void); /* 60 of 128 KiB .. 4 MiB, every fourth page written */
void regrow(void);         /* realloc of 1 .. 256 MiB, of one buffer and of two in turn */

/* By four threads, or by two (workload_threads.c). */
void churn_threads(void); /* churn, each its own blocks */
void larson(void);        /* tables of blocks handed on to new threads again and again */
void larson_2(void);
void produce_consume(void); /* two only allocate, two only free */
void mstress(void);         /* threads come, mix sizes, trade blocks, and go */
void mstress_2(void);

/* By 2, 4 and 16 threads (workload_exchange.c). */
void exchange_2(void); /* random places shared by all: frees what is there, puts a new block in */
void exchange_4(void);
void exchange_16(void);
void hand_off_2(void); /* half only allocate, half only free; batches of 20 .. 219 blocks */
void hand_off_4(void);
void hand_off_16(void);
void hand_off_64_bytes(void); /* by four, of one size */

/* Lists of blocks of one size, by one thread and by two (workload_lists.c). */
void lists(void); /* half of each freed in order, the rest much later */
void short_lists(
	void); /* 30 .. 1,800 blocks, freed in order, backwards or scattered, again and again */
void short_lists_2(void);

/* By 2, 4 and 16 threads (workload_uneven.c): random places shared by all, as in exchange; one only
 * allocates, one only frees, the others do both, in batches of 4 .. 32 blocks. */
void uneven_2(void);
void uneven_4(void);
void uneven_16(void);
void uneven_to_8_kib(void); /* by four, 16 .. 8,192 bytes rather than 1,024 */

/* Whole batches (workload_batches.c). */
void pile_2(
	void); /* half only allocate, half only free; 4,096 blocks of 64 bytes on a bounded stack */
void pile_4(void);
void pile_16(void);
void pile_of_sizes(void); /* by four, 8 .. 2,048 bytes */
/* Tables of 10,000 blocks of rising sizes, freed in and out of order, by one thread and by two. */
void shelves(void);
void shelves_2(void);

/* More threads than processors, and forked processes (workload_many.c). */
void crowd_16(void); /* churn, each its own blocks; every eighth is another thread's */
void crowd_64(void);
void prefork(void); /* four processes replace what their parent allocated */

/* Not timed (workload_sizes.c): fills 24 MiB with blocks of one size and prints what became
 * resident for each byte asked for. */
void print_cost(size_t bytes);

/* Everything is divided by this; 1 unless counting instructions. */
extern size_t work_divisor;

uint64_t random_step(uint64_t *seed);

/* So many bytes with both ends written; aborts when memory is out. */
void *block_take(size_t bytes);

#endif
