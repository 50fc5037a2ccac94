#include "shim/heap/size_class.h"

#include "shim/heap/page.h"

/* clang-format off */
/* A class within pages. */
#define SMALL_PAGES(size) ((size) < 512 ? 8U : 16U)
#define SMALL(size, unused) \
	{ .bytes = (size), .slots = SMALL_PAGES(size) * (PAGE_BYTES / (size)), \
	  .pages = SMALL_PAGES(size), .page_slots = PAGE_BYTES / (size), \
	  .page_inverse = ((1U << SIZE_CLASS_PAGE_SHIFT) + PAGE_BYTES / (size) - 1) / \
			  (PAGE_BYTES / (size)) }

/* A class over page ends. */
#define CLASS(size, count) \
	{ .bytes = (size), .slots = (count), .pages = (size) * (size_t)(count) / PAGE_BYTES }
/* All of them, for two tables. */
#define EIGHT(base, count) \
	X(CLASS, (base) / 8 * 9, count) X(CLASS, (base) / 8 * 10, count) \
	X(CLASS, (base) / 8 * 11, count) X(CLASS, (base) / 8 * 12, count) \
	X(CLASS, (base) / 8 * 13, count) X(CLASS, (base) / 8 * 14, count) \
	X(CLASS, (base) / 8 * 15, count) X(CLASS, (base) * 2, count)
#define S(size) X(SMALL, size, 0)
#define ALL_CLASSES \
	S(16) S(32) S(48) S(64) S(80) S(96) S(112) S(128) S(144) S(160) S(192) S(224) S(256) \
	S(304) S(368) S(400) S(448) S(512) S(576) S(672) S(816) S(1024) S(1360) S(2048) \
	EIGHT(2048UL, 16) EIGHT(4096UL, 8) EIGHT(8192UL, 4) EIGHT(16384UL, 4) \
	EIGHT(32768UL, 1) EIGHT(65536UL, 1)

#define X(kind, size, count) kind(size, count),
const struct size_class size_classes[SIZE_CLASSES + 1] = { { 0 }, ALL_CLASSES };
#undef X

/* A slab of one slot begins at 0 only, which 1 says too. */
#define X(kind, size, count) (count) == 1 ? 1 : (((uint64_t)1 << 32) + (size) - 1) / (size),
const uint32_t size_class_inverse[SIZE_CLASSES + 1] = { 0, ALL_CLASSES };
#undef X

const uint8_t size_class_table[SIZE_CLASS_IN_PAGE_BYTES / 16 + 1] = {
	[0 ... 1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7, [8] = 8, [9] = 9,
	[10] = 10, [11 ... 12] = 11, [13 ... 14] = 12, [15 ... 16] = 13, [17 ... 19] = 14,
	[20 ... 23] = 15, [24 ... 25] = 16, [26 ... 28] = 17, [29 ... 32] = 18, [33 ... 36] = 19,
	[37 ... 42] = 20, [43 ... 51] = 21, [52 ... 64] = 22, [65 ... 85] = 23, [86 ... 128] = 24
};
/* clang-format on */

unsigned size_class_aligned(size_t size, size_t alignment)
{
	if (alignment > PAGE_BYTES || size > SIZE_CLASS_MAX_BYTES)
		return 0;
	/* The next multiple of the alignment is a class in most cases. */
	size = size == 0 ? alignment : round_up(size, alignment);
	for (unsigned c = size_class_of(size); c <= SIZE_CLASSES; c++)
		if ((size_classes[c].bytes & (alignment - 1)) == 0)
			return c;
	return 0;
}
