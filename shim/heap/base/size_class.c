/* The table of slot sizes. */
#include "shim/heap/base/size_class.h"

#include "shim/heap/base/page.h"

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
#define NINE(base, first_count, count) \
	X(CLASS, (base) / 16 * 17, first_count) X(CLASS, (base) / 8 * 9, count) \
	X(CLASS, (base) / 8 * 10, count) X(CLASS, (base) / 8 * 11, count) \
	X(CLASS, (base) / 8 * 12, count) X(CLASS, (base) / 8 * 13, count) \
	X(CLASS, (base) / 8 * 14, count) X(CLASS, (base) / 8 * 15, count) \
	X(CLASS, (base) * 2, count)
#define S(size) X(SMALL, size, 0)
#define ALL_CLASSES \
	S(16) S(32) S(48) S(64) S(80) S(96) S(112) S(128) S(144) S(160) S(176) S(192) S(208) \
	S(224) S(240) S(256) S(272) S(288) S(304) S(336) S(368) S(400) X(CLASS, 416UL, 128) \
	S(448) X(CLASS, 480UL, 128) S(512) \
	X(CLASS, 544UL, 128) S(576) X(CLASS, 640UL, 64) S(672) X(CLASS, 736UL, 128) S(816) \
	X(CLASS, 896UL, 64) X(CLASS, 960UL, 64) S(1024) \
	X(CLASS, 1088UL, 64) X(CLASS, 1216UL, 64) X(CLASS, 1280UL, 32) S(1360) \
	X(CLASS, 1472UL, 64) X(CLASS, 1600UL, 64) X(CLASS, 1728UL, 64) X(CLASS, 1856UL, 64) S(2048) \
	NINE(2048UL, 32, 16) NINE(4096UL, 16, 8) NINE(8192UL, 8, 4) NINE(16384UL, 4, 4) \
	NINE(32768UL, 2, 1) NINE(65536UL, 1, 1)

#define X(kind, size, count) kind(size, count),
const struct size_class size_classes[SIZE_CLASSES + 1] = { { 0 }, ALL_CLASSES };
#undef X

/* A slab of one slot begins at 0 only, which 1 says too. */
#define X(kind, size, count) (count) == 1 ? 1 : (((uint64_t)1 << 32) + (size) - 1) / (size),
const uint32_t size_class_inverse[SIZE_CLASSES + 1] = { 0, ALL_CLASSES };
#undef X

const uint8_t size_class_table[SIZE_CLASS_TABLE_BYTES / 16 + 1] = {
	[0 ... 1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7, [8] = 8,
	[9] = 9, [10] = 10, [11] = 11, [12] = 12, [13] = 13, [14] = 14, [15] = 15,
	[16] = 16, [17] = 17, [18] = 18, [19] = 19, [20 ... 21] = 20, [22 ... 23] = 21,
	[24 ... 25] = 22, [26] = 23, [27 ... 28] = 24, [29 ... 30] = 25, [31 ... 32] = 26,
	[33 ... 34] = 27, [35 ... 36] = 28, [37 ... 40] = 29, [41 ... 42] = 30,
	[43 ... 46] = 31, [47 ... 51] = 32, [52 ... 56] = 33, [57 ... 60] = 34,
	[61 ... 64] = 35, [65 ... 68] = 36, [69 ... 76] = 37, [77 ... 80] = 38,
	[81 ... 85] = 39, [86 ... 92] = 40, [93 ... 100] = 41, [101 ... 108] = 42,
	[109 ... 116] = 43, [117 ... 128] = 44
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
