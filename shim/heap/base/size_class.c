/* The table of slot sizes. */
#include "shim/heap/base/size_class.h"

#include "shim/heap/base/page.h"

/* clang-format off */
/* Slots in so many groups of pages, from the start of each. */
#define GROUPS(size, group, in_group, groups) \
	{ .bytes = (size), .slots = (in_group) * (groups), .pages = (group) * (groups), \
	  .group_slots = (in_group), .group_pages = (group), \
	  .slots_inverse = ((1U << SIZE_CLASS_SLOTS_SHIFT) + (in_group) - 1) / (in_group), \
	  .pages_inverse = ((1U << SIZE_CLASS_PAGES_SHIFT) + (group) - 1) / (group), \
	  .density = ((uint64_t)(in_group) << 32) / ((group) * PAGE_BYTES), \
	  .least_part = LEAST_PART((group) * PAGE_BYTES, (uint64_t)(in_group), size), \
	  .group_tail = (group) * PAGE_BYTES - (in_group) * (size) }
/* A slot adds the parts of the tail that those before it in its group add, and less than its offset
 * times 2^-32, since the density is rounded down. */
#define LEAST_PART(bytes, slots, size) \
	(UINT32_MAX - SIZE_CLASS_MAX_PAGES * PAGE_BYTES - \
	 ((((slots) - 1) * ((bytes) - (slots) * (size))) << 32) / (bytes))
/* As many as fit into the group. */
#define FIT(size, group, groups) GROUPS(size, group, (group) * PAGE_BYTES / (size), groups)
/* A group that is the slab, without a tail. */
#define RUN(size, count, unused) GROUPS(size, (size) * (size_t)(count) / PAGE_BYTES, count, 1)
/* All of them, for two tables. */
#define STEPS(base, count) \
	X(RUN, (base) / 8 * 9, count, 0) \
	X(RUN, (base) / 8 * 10, count, 0) X(RUN, (base) / 8 * 11, count, 0) \
	X(RUN, (base) / 8 * 12, count, 0) X(RUN, (base) / 8 * 13, count, 0) \
	X(RUN, (base) / 8 * 14, count, 0) X(RUN, (base) / 8 * 15, count, 0) \
	X(RUN, (base) * 2, count, 0)
#define NINE(base, first_count, count) \
	X(RUN, (base) / 16 * 17, first_count, 0) STEPS(base, count)
#define S(size) X(FIT, size, 1, (size) < 512 ? 8U : 16U)
#define G(size, group, groups) X(FIT, size, group, groups)
#define ALL_CLASSES \
	S(16) S(32) S(48) S(64) S(80) S(96) S(112) S(128) S(144) S(160) S(176) S(192) S(208) \
	S(224) S(240) S(256) S(272) S(288) S(304) S(336) S(368) S(400) G(432, 3, 3) G(480, 2, 4) \
	S(512) G(544, 2, 8) S(576) G(624, 2, 8) S(672) G(736, 2, 8) S(816) G(896, 2, 8) \
	G(944, 3, 5) S(1024) \
	G(1088, 4, 4) G(1168, 2, 8) G(1248, 4, 4) S(1360) G(1440, 6, 3) G(1536, 3, 5) \
	G(1632, 2, 8) G(1744, 3, 5) G(1808, 4, 4) G(1856, 5, 3) S(2048) \
	NINE(2048UL, 32, 16) G(4368, 16, 1) STEPS(4096UL, 8) NINE(8192UL, 8, 4) \
	NINE(16384UL, 4, 4) NINE(32768UL, 2, 1) NINE(65536UL, 1, 1)

#define X(kind, size, one, other) kind(size, one, other),
const struct size_class size_classes[SIZE_CLASSES + 1] = { { 0 }, ALL_CLASSES };
#undef X

/* A slab of one slot begins at 0 only, which 1 says too. */
#define COUNT_FIT(size, group, groups) ((group) * PAGE_BYTES / (size) * (groups))
#define COUNT_RUN(size, count, unused) (count)
#define X(kind, size, one, other) \
	COUNT_##kind(size, one, other) == 1 ? 1 : (((uint64_t)1 << 32) + (size) - 1) / (size),
const uint32_t size_class_inverse[SIZE_CLASSES + 1] = { 0, ALL_CLASSES };
#undef X

const uint8_t size_class_table[SIZE_CLASS_TABLE_BYTES / 16 + 1] = {
	[0 ... 1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [7] = 7, [8] = 8, [9] = 9,
	[10] = 10, [11] = 11, [12] = 12, [13] = 13, [14] = 14, [15] = 15, [16] = 16, [17] = 17,
	[18] = 18, [19] = 19, [20 ... 21] = 20, [22 ... 23] = 21, [24 ... 25] = 22,
	[26 ... 27] = 23, [28 ... 30] = 24, [31 ... 32] = 25, [33 ... 34] = 26, [35 ... 36] = 27,
	[37 ... 39] = 28, [40 ... 42] = 29, [43 ... 46] = 30, [47 ... 51] = 31, [52 ... 56] = 32,
	[57 ... 59] = 33, [60 ... 64] = 34, [65 ... 68] = 35, [69 ... 73] = 36, [74 ... 78] = 37,
	[79 ... 85] = 38, [86 ... 90] = 39, [91 ... 96] = 40, [97 ... 102] = 41,
	[103 ... 109] = 42, [110 ... 113] = 43, [114 ... 116] = 44, [117 ... 128] = 45,
	[129 ... 136] = 46, [137 ... 144] = 47, [145 ... 160] = 48, [161 ... 176] = 49,
	[177 ... 192] = 50, [193 ... 208] = 51, [209 ... 224] = 52, [225 ... 240] = 53,
	[241 ... 256] = 54, [257 ... 273] = 55, [274 ... 288] = 56, [289 ... 320] = 57,
	[321 ... 352] = 58, [353 ... 384] = 59, [385 ... 416] = 60, [417 ... 448] = 61,
	[449 ... 480] = 62, [481 ... 512] = 63
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
