#ifndef TESTS_BENCH_SURVIVAL_LOAD_H
#define TESTS_BENCH_SURVIVAL_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Live memory that is built, worked on and freed, and the count of what is live in all processes
 * together: the sum of the bytes that were asked of malloc.
 *
 * A shape says how large the blocks are:
 *
 *	mixed	16 bytes to 64 KiB, small ones as often as large ones
 *	tiny	16 to 64 bytes
 *	large	64 KiB to 1 MiB
 *	drift	2 to 128 KiB, each load those of one power of two only, the next one those of the
 *next: what the last load left lies between blocks that fit none of the new ones.  Smaller blocks
 *would leave something on so many pages that no allocator could help it
 */

#define LOAD_MIB ((size_t)1 << 20)

struct load_shape;

/* In memory that all processes share; all zero at the start. */
struct load_live {
	_Atomic uint64_t bytes;
	_Atomic uint64_t peak_bytes;
	_Atomic uint32_t step; /* load_step_wait's and load_step_set's */
};

struct load {
	struct load_live *live;
	uint64_t seed; /* not 0 */
	unsigned built;
	struct load_block *blocks;
};

/* NULL: there is none of that name. */
const struct load_shape *load_shape(const char *name);

/* Frees what was there, then allocates and writes to so many bytes.  Ends the process with 3 where
 * malloc gives nothing. */
void load_build(struct load *load, const struct load_shape *shape, size_t bytes);
/* The work that memory is wanted for: without it a run would be nothing but page faults. */
void load_use(const struct load *load);
/* Frees all but one block in twelve, chosen by chance. */
void load_let_go(struct load *load);
/* counted false: it is live in another process as well, and was not counted a second time. */
void load_free(struct load *load, bool counted);

/* Memory for that which the children of a fork share, or with a file all who name it.  Ends the
 * process with 3 where it cannot be had. */
struct load_live *load_share(const char *file);

/* Sleeps until the step is that or a later one. */
void load_step_wait(struct load_live *live, uint32_t step);
void load_step_set(struct load_live *live, uint32_t step);

#endif
