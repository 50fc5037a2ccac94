#ifndef SHIM_HEAP_SIZE_CLASS_H
#define SHIM_HEAP_SIZE_CLASS_H

#include "shim/heap/bits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Size classes 1 .. SIZE_CLASSES: 16, 32 ... 128 in steps of 16, and from there
 * eight to a doubling up to 32 KiB, so that a block of more than 128 bytes
 * wastes less than one part in eight.  Class 0 means "large": whole pages.
 *
 * A slab is as many pages as make a whole number of slots without a tail:
 * slots of a class over 128 bytes are multiples of an eighth of the next lower
 * power of two, so some power of two of them always ends on a page.
 */
#define SIZE_CLASSES 72U
#define SIZE_CLASS_MAX_BYTES 32768U
#define SIZE_CLASS_MAX_SLOTS 2048U

/* No slab has more pages: holes of one fit a word. */
#define SIZE_CLASS_MAX_PAGES 64U

struct size_class {
	uint64_t inverse; /* of bytes, rounded up, times 2^SIZE_CLASS_SHIFT */
	uint32_t bytes;
	uint16_t slots;
	uint16_t pages;
};

/* offset * inverse stays under 2^64 and is exact for offsets under 2^21. */
#define SIZE_CLASS_SHIFT 42

extern const struct size_class size_classes[SIZE_CLASSES + 1];

/* size <= SIZE_CLASS_MAX_BYTES. */
static inline unsigned size_class_of(size_t size)
{
	size_t last = size - 1;
	unsigned power;

	if (size <= 128)
		return size == 0 ? 1 : (unsigned)(last >> 4) + 1;
	power = bits_highest(last);
	return 9 + (power - 7) * 8 + (unsigned)(last >> (power - 3) & 7);
}

/* The smallest class that holds size at this alignment (a power of two up to a page), or 0. */
unsigned size_class_aligned(size_t size, size_t alignment);

static inline size_t size_class_slot(unsigned size_class, size_t offset)
{
	return (size_t)(offset * size_classes[size_class].inverse >> SIZE_CLASS_SHIFT);
}

/* Whether a slot begins at this offset of a slab. */
static inline bool size_class_starts(unsigned size_class, size_t offset)
{
	uint64_t inverse = size_classes[size_class].inverse;

	return (offset * inverse & (((uint64_t)1 << SIZE_CLASS_SHIFT) - 1)) < inverse;
}

#endif
