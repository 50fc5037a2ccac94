#include "tests/support/heap_model.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/base/size_class.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a large block so many words are written and read, from end to end. */
#define WORDS_MAX ((size_t)256)
#define WORD sizeof(uint64_t)

#define GOLDEN 0x9e3779b97f4a7c15U

__attribute__((format(printf, 2, 3))) static void found(
	struct heap_model *model, const char *format, ...)
{
	va_list arguments;

	if (model->wrong[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(model->wrong, sizeof model->wrong, format, arguments);
	va_end(arguments);
}

/* Contents ------------------------------------------------------------- */

static uint64_t word_of(const struct heap_model_block *block, size_t i)
{
	return block->fill + i * GOLDEN;
}

static size_t step_of(size_t size)
{
	size_t words = size / WORD;

	return words > WORDS_MAX ? words / WORDS_MAX : 1;
}

/* The word's first bytes: all of them but at a block's end. */
static void block_write(const struct heap_model_block *block, size_t i, size_t bytes)
{
	uint64_t word = word_of(block, i);

	if (bytes == WORD)
		((uint64_t *)(void *)block->at)[i] = word;
	else
		memcpy(block->at + i * WORD, &word, bytes);
}

static bool block_has(const struct heap_model_block *block, size_t i, size_t bytes)
{
	uint64_t word = word_of(block, i);

	if (bytes == WORD)
		return ((const uint64_t *)(const void *)block->at)[i] == word;
	return bytes == 0 || memcmp(block->at + i * WORD, &word, bytes) == 0;
}

static void block_fill(struct heap_model *model, struct heap_model_block *block)
{
	size_t words = block->size / WORD;

	block->fill = model->fills * GOLDEN ^ (uintptr_t)model;
	model->fills++;
	for (size_t i = 0; i < words; i += step_of(block->size))
		block_write(block, i, WORD);
	if (words != 0)
		block_write(block, words - 1, WORD);
	block_write(block, words, block->size % WORD);
}

/* Whether the first `kept` bytes are as block_fill left them. */
static void block_verify(
	struct heap_model *model, const struct heap_model_block *block, size_t kept)
{
	size_t words = kept / WORD;
	size_t step = step_of(block->size);
	size_t i = 0;

	while (i < words && block_has(block, i, WORD))
		i += step;
	if (i >= words && kept == block->size && words != 0 && !block_has(block, words - 1, WORD))
		i = words - 1;
	else if (i >= words && (step == 1 || kept == block->size) &&
		 !block_has(block, words, kept % WORD))
		i = words;
	else if (i >= words)
		return;
	found(model, "block %p of %zu bytes changed near %zu", (void *)block->at, block->size,
		i * WORD);
}

static bool is_zero(const unsigned char *at, size_t size)
{
	size_t step = size > ((size_t)1 << 20) ? 509 : 1;

	if (size == 0)
		return true;
	if (step == 1)
		return at[0] == 0 && memcmp(at, at + 1, size - 1) == 0;
	for (size_t i = 0; i < size; i += step)
		if (at[i] != 0)
			return false;
	return at[size - 1] == 0;
}

/* As preload.c does: the fast path first. */
static void *take(size_t size)
{
	void *at = heap_malloc_fast(size);

	return at != NULL ? at : heap_malloc(size);
}

static void put(void *at)
{
	if (!heap_free_fast(at))
		heap_free(at);
}

/* The table ------------------------------------------------------------ */

static void add(struct heap_model *model, void *at, size_t size)
{
	struct heap_model_block *block = &model->blocks[model->count];

	block->at = at;
	block->size = size;
	block_fill(model, block);
	model->count++;
	model->bytes += size;
}

/* What every block that the heap hands out must be; false where there is none to add. */
static bool is_good(struct heap_model *model, void *at, size_t size)
{
	size_t natural = size < HEAP_ALIGNMENT ? 1 : HEAP_ALIGNMENT;

	if (at == NULL) {
		if (!model->may_run_out)
			found(model, "no block of %zu bytes", size);
		return false;
	}
	if ((uintptr_t)at % natural != 0)
		found(model, "block %p of %zu bytes is not aligned", at, size);
	if (heap_usable_size(at) < size)
		found(model, "block %p of %zu bytes holds %zu", at, size, heap_usable_size(at));
	return model->wrong[0] == '\0';
}

static void drop(struct heap_model *model, size_t which)
{
	struct heap_model_block block = heap_model_give(model, which);

	block_verify(model, &block, block.size);
	if (model->wrong[0] == '\0')
		put(block.at);
}

struct heap_model_block heap_model_give(struct heap_model *model, size_t which)
{
	struct heap_model_block *place = &model->blocks[which % model->count];
	struct heap_model_block block = *place;

	model->count--;
	model->bytes -= block.size;
	*place = model->blocks[model->count];
	return block;
}

void heap_model_take(struct heap_model *model, struct heap_model_block block)
{
	if (model->count == model->room)
		drop(model, block.fill);
	block_verify(model, &block, block.size);
	model->blocks[model->count++] = block;
	model->bytes += block.size;
}

void heap_model_drop_all(struct heap_model *model)
{
	while (model->count > 0)
		drop(model, model->count - 1);
}

static int by_address(const void *a, const void *b)
{
	const struct heap_model_block *x = a;
	const struct heap_model_block *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

void heap_model_verify(struct heap_model *model)
{
	const struct heap_model_block *blocks = model->blocks;

	if (model->count == 0)
		return;
	qsort(model->blocks, model->count, sizeof blocks[0], by_address);
	for (size_t i = 1; i < model->count; i++)
		if (blocks[i - 1].at + blocks[i - 1].size > blocks[i].at)
			found(model, "block %p of %zu bytes runs into block %p",
				(void *)blocks[i - 1].at, blocks[i - 1].size, (void *)blocks[i].at);
	for (size_t i = 0; i < model->count; i++)
		block_verify(model, &blocks[i], blocks[i].size);
}

/* Operations ----------------------------------------------------------- */

static void perform_malloc(struct heap_model *model, const struct heap_operation *operation)
{
	void *at = take(operation->size);

	if (is_good(model, at, operation->size))
		add(model, at, operation->size);
}

static void perform_calloc(struct heap_model *model, const struct heap_operation *operation)
{
	size_t each = operation->alignment;
	size_t size = (operation->size / each + 1) * each;
	void *at = heap_calloc(size / each, each);

	if (!is_good(model, at, size))
		return;
	if (!is_zero(at, size))
		found(model, "calloc's block %p of %zu bytes is not zero", at, size);
	add(model, at, size);
}

static void perform_memalign(struct heap_model *model, const struct heap_operation *operation)
{
	void *at = heap_memalign(operation->alignment, operation->size);

	if (!is_good(model, at, operation->size))
		return;
	if ((uintptr_t)at % operation->alignment != 0)
		found(model, "block %p is not aligned to %zu", at, operation->alignment);
	add(model, at, operation->size);
}

static void perform_realloc(struct heap_model *model, const struct heap_operation *operation)
{
	struct heap_model_block block = {.at = NULL};
	size_t size = operation->size;
	size_t had = 0;
	unsigned char *at;

	if (model->count != 0) {
		block = heap_model_give(model, operation->which);
		had = heap_usable_size(block.at);
	}
	at = heap_realloc(block.at, size);
	if (at != NULL)
		block.at = at;
	if (block.at != NULL)
		block_verify(model, &block, at != NULL && size < block.size ? size : block.size);
	if (is_good(model, at, size)) {
		add(model, at, size);
	} else if (block.at != NULL && model->wrong[0] == '\0') {
		if (size <= had)
			found(model, "block %p did not shrink to %zu", (void *)block.at, size);
		heap_model_take(model, block);
	}
}

static void perform_free(struct heap_model *model, const struct heap_operation *operation)
{
	if (model->count != 0)
		drop(model, operation->which);
	else
		put(NULL);
}

static void perform_use(struct heap_model *model, const struct heap_operation *operation)
{
	struct heap_model_block block;

	if (model->count == 0) {
		if (heap_usable_size(NULL) != 0)
			found(model, "no block has a size");
		return;
	}
	block = heap_model_give(model, operation->which);
	block_verify(model, &block, block.size);
	if (is_good(model, block.at, block.size))
		add(model, block.at, heap_usable_size(block.at));
}

static void perform_scavenge(struct heap_model *model, const struct heap_operation *operation)
{
	struct heap_pass pass = operation->pass;

	heap_scavenge(&pass, (enum heap_cause)(operation->which % HEAP_CAUSES));
	if (pass.lazy_bytes + pass.clean_bytes > pass.max_bytes)
		found(model, "a pass of %zu bytes did %zu", (size_t)pass.max_bytes,
			(size_t)(pass.lazy_bytes + pass.clean_bytes));
	if (pass.level <= HEAP_LAZY ? pass.clean_bytes != 0 : pass.lazy_bytes != 0)
		found(model, "a pass at level %d made %zu bytes lazy, %zu clean", pass.level,
			(size_t)pass.lazy_bytes, (size_t)pass.clean_bytes);
}

/* A block that would be absurdly large stays as it is. */
static void perform_wide_realloc(struct heap_model *model, const struct heap_operation *operation)
{
	struct heap_model_block block = heap_model_give(model, operation->which / 8);

	if (heap_realloc(block.at, operation->size | (size_t)1 << 63) != NULL)
		found(model, "block %p became larger than any", (void *)block.at);
	else
		heap_model_take(model, block);
}

static void perform_wide(struct heap_model *model, const struct heap_operation *operation)
{
	size_t size = operation->size;
	unsigned char *at = NULL;

	if (operation->which % 8 == 7 && model->count != 0) {
		perform_wide_realloc(model, operation);
		return;
	}
	switch (operation->which % 4) {
	case 0:
		at = heap_malloc(size);
		break;
	case 1:
		at = heap_memalign(operation->alignment, size);
		break;
	case 2:
		at = heap_realloc(NULL, size);
		break;
	default:
		/* More than any size is: calloc would have to write the rest. */
		size |= (size_t)1 << 63;
		at = heap_calloc(size / 8, 9);
		break;
	}
	if (at == NULL)
		return;
	if (size > PTRDIFF_MAX || heap_usable_size(at) < size) {
		found(model, "block %p of %zu bytes cannot be", (void *)at, size);
		return;
	}
	if (size != 0)
		at[0] = at[size - 1] = 1;
	heap_free(at);
}

void heap_model_perform(struct heap_model *model, const struct heap_operation *operation)
{
	static void (*const performs[HEAP_CALLS])(
		struct heap_model * model, const struct heap_operation *operation) = {
		[HEAP_CALL_MALLOC] = perform_malloc,
		[HEAP_CALL_CALLOC] = perform_calloc,
		[HEAP_CALL_MEMALIGN] = perform_memalign,
		[HEAP_CALL_REALLOC] = perform_realloc,
		[HEAP_CALL_FREE] = perform_free,
		[HEAP_CALL_USE] = perform_use,
		[HEAP_CALL_SCAVENGE] = perform_scavenge,
		[HEAP_CALL_WIDE] = perform_wide,
	};

	if (model->wrong[0] != '\0')
		return;
	if (model->count == model->room)
		drop(model, operation->which);
	performs[operation->call](model, operation);
}

static size_t random_size(void)
{
	uint64_t r = random_next();

	switch (r % 16) {
	case 0:
		return r / 16 % 400000;
	case 1:
	case 2:
		return r / 16 % 40000;
	default:
		return r / 16 % 1200;
	}
}

struct heap_operation heap_model_random(void)
{
	/* Up to this many in a thousand are this call. */
	static const struct {
		uint64_t below;
		enum heap_call call;
	} shares[] = {
		{1, HEAP_CALL_SCAVENGE},
		{2, HEAP_CALL_WIDE},
		{440, HEAP_CALL_MALLOC},
		{500, HEAP_CALL_CALLOC},
		{540, HEAP_CALL_MEMALIGN},
		{650, HEAP_CALL_REALLOC},
		{670, HEAP_CALL_USE},
		{1000, HEAP_CALL_FREE},
	};
	uint64_t r = random_next();
	struct heap_operation operation = {
		.which = random_next() >> 8,
		.size = random_size(),
		.alignment = (size_t)1 << r / 1000 % 17,
		.pass =
			{
				.level = (enum heap_level)(random_next() % HEAP_LEVELS),
				.max_bytes =
					random_below(4) == 0 ? UINT64_MAX : random_below(4 << 20),
				.cushion_bytes = random_below(3) == 0 ? random_below(8 << 20) : 0,
				.idle_before_ns = UINT64_MAX,
				.slabs_idle_before_ns = random_below(2) == 0 ? UINT64_MAX : 0,
			},
	};
	size_t i = 0;

	while (r % 1000 >= shares[i].below)
		i++;
	operation.call = shares[i].call;
	if (operation.call == HEAP_CALL_WIDE)
		operation.size = random_below(4) == 0 ? random_below((size_t)1 << 30)
						      : random_next() | (size_t)1 << 63;
	return operation;
}

/* The heap as a whole -------------------------------------------------- */

const char *heap_model_check_heap(uint64_t blocks, uint64_t bytes)
{
	const char *wrong = heap_check();
	struct heap_stats stats;

	if (wrong != NULL)
		return wrong;
	heap_stats_read(&stats);
	if (stats.mapped_bytes != stats.in_use_bytes + stats.idle_dirty_bytes + stats.lazy_bytes +
					  stats.clean_bytes + stats.metadata_bytes)
		return "the figures do not add up to what is mapped";
	if (stats.blocks != blocks)
		return "the heap counts another number of blocks";
	if (stats.in_use_bytes < stats.free_slot_bytes + bytes)
		return "less is in use than the blocks hold";
	return NULL;
}

const char *heap_model_check_empty(void)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	struct heap_stats stats;
	uint64_t slots;
	uint64_t bytes;

	cache_stats(&slots, &bytes);
	if (slots != 0)
		return "a thread left slots behind in its cache";
	heap_scavenge(&pass, HEAP_BY_FULL);
	heap_stats_read(&stats);
	if (pass.more)
		return "a full pass of any size left more to do";
	if (stats.in_use_bytes != 0 || stats.free_slot_bytes != 0)
		return "something is in use when all was freed";
	/* On a larger page of the kernel's one that was never used may lie beside. */
	if (os_page_bytes() == PAGE_BYTES && (stats.idle_dirty_bytes != 0 || stats.lazy_bytes != 0))
		return "something is resident after a full pass";
	return heap_model_check_heap(0, 0);
}
