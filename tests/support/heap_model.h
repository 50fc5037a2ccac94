#ifndef TESTS_SUPPORT_HEAP_MODEL_H
#define TESTS_SUPPORT_HEAP_MODEL_H

#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a heap promises, in its simplest form: a table of blocks and what is in
 * each.  An operation is data; heap_model_perform has the heap do it and
 * compares with the table.  Where operations come from, random numbers or a
 * fuzzer's bytes, is the caller's affair.
 *
 * The first promise that was broken is kept as text in `wrong`, and nothing is
 * performed any more.  One thread at a time is at a model; several models may
 * share a heap, and blocks may go from one to another.
 */
enum heap_call {
	HEAP_CALL_MALLOC,
	HEAP_CALL_CALLOC,
	HEAP_CALL_MEMALIGN,
	HEAP_CALL_REALLOC, /* of no block where there is none */
	HEAP_CALL_FREE,
	HEAP_CALL_USE, /* the block is as large as it can be from now on */
	HEAP_CALL_SCAVENGE,
	HEAP_CALL_WIDE, /* more than is to be written to; freed at once */
	HEAP_CALLS
};

struct heap_operation {
	enum heap_call call;
	size_t which; /* the block, modulo how many there are */
	size_t size;
	size_t alignment; /* a power of two */
	struct heap_pass pass;
};

struct heap_model_block {
	unsigned char *at;
	size_t size;
	uint64_t fill; /* tells this block's contents from those of others */
};

struct heap_model {
	struct heap_model_block *blocks; /* the caller's */
	size_t room;                     /* of blocks; one that is full frees before it takes */
	size_t count;
	size_t bytes;
	uint64_t fills;   /* the next block's fill */
	bool may_run_out; /* the kernel refuses: NULL is an answer */
	char wrong[160];  /* empty: all is well */
};

void heap_model_perform(struct heap_model *model, const struct heap_operation *operation);

/* Every block's contents, and that no two share a byte; the blocks' order changes. */
void heap_model_verify(struct heap_model *model);
/* Frees every block, verified. */
void heap_model_drop_all(struct heap_model *model);

/* A block leaves the table, or joins it: for another model, in another thread. */
struct heap_model_block heap_model_give(struct heap_model *model, size_t which);
void heap_model_take(struct heap_model *model, struct heap_model_block block);

/* Some operation; SCAVENGE and WIDE are rare.  Of random_next. */
struct heap_operation heap_model_random(void);

/* Asked while nobody is in the heap: every invariant, the figures' sum, that many live blocks of at
 * least so many bytes.  NULL or what is wrong. */
const char *heap_model_check_heap(uint64_t blocks, uint64_t bytes);
/* And when all was freed and every thread left its cache: nothing is in one, and after a full pass
 * nothing is in use or resident. */
const char *heap_model_check_empty(void);

#endif
