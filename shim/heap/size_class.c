#include "shim/heap/size_class.h"

#include "shim/heap/page.h"

/* clang-format off */
#define CLASS(size, count) \
	{ .inverse = (((uint64_t)1 << SIZE_CLASS_SHIFT) + (size) - 1) / (size), \
	  .bytes = (size), .slots = (count), .pages = (size) * (size_t)(count) / PAGE_BYTES }

/* The eight classes over `base`. */
#define EIGHT(base, count) \
	CLASS((base) / 8 * 9, count), CLASS((base) / 8 * 10, count), \
	CLASS((base) / 8 * 11, count), CLASS((base) / 8 * 12, count), \
	CLASS((base) / 8 * 13, count), CLASS((base) / 8 * 14, count), \
	CLASS((base) / 8 * 15, count), CLASS((base) * 2, count)

const struct size_class size_classes[SIZE_CLASSES + 1] = {
	{ 0 },
	CLASS(16, 2048), CLASS(32, 1024), CLASS(48, 768), CLASS(64, 512),
	CLASS(80, 512), CLASS(96, 512), CLASS(112, 512), CLASS(128, 256),
	EIGHT(128UL, 256), EIGHT(256UL, 128), EIGHT(512UL, 64), EIGHT(1024UL, 32),
	EIGHT(2048UL, 16), EIGHT(4096UL, 8), EIGHT(8192UL, 8), EIGHT(16384UL, 8)
};
/* clang-format on */

unsigned size_class_aligned(size_t size, size_t alignment)
{
	if (alignment > PAGE_BYTES || size > SIZE_CLASS_MAX_BYTES)
		return 0;
	for (unsigned c = size_class_of(size); c <= SIZE_CLASSES; c++)
		if (size_classes[c].bytes % alignment == 0)
			return c;
	return 0;
}
