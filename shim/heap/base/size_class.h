#ifndef SHIM_HEAP_BASE_SIZE_CLASS_H
#define SHIM_HEAP_BASE_SIZE_CLASS_H

#include "shim/heap/base/bits.h"
#include "shim/heap/base/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Size classes 1 .. SIZE_CLASSES.  Class 0 means "large": whole pages of the
 * page heap, over SIZE_CLASS_MAX_BYTES.
 *
 * A block costs its slot and a part of what no slot covers.  That is at most 1.12
 * times its size; up to 160 bytes, of its size rounded up to the alignment of 16.
 *
 * Where a size allows it, a class is made to fit a page: as many slots of it as fit,
 * from each page's start.  No such slot lies over two pages, so that a block which
 * lives on keeps one page resident and not two.  These are the sizes where one more
 * slot fits a page, as far as the bound asks for them: every class more is a page more
 * that is used in part, wherever blocks of many sizes come together.  Up to 400 bytes
 * they are enough.
 *
 * Between them, page by page, 820 bytes would cost 1024, and 1400 would cost 2048.  So
 * up to 2 KiB there are other classes in between, whose slots run on over page ends, in
 * slabs of as many pages as make a whole number of slots without a tail.  The price: one
 * survivor among freed blocks keeps a second page in as many cases as its slot is a
 * part of a page.
 *
 * Over 2 KiB slots do so too.  There are nine classes to a doubling: eight equal steps,
 * of which the first is halved, because it is the largest part of its sizes.
 */
#define SIZE_CLASSES 98U
#define SIZE_CLASS_MAX_BYTES ((size_t)128 << 10)
#define SIZE_CLASS_MAX_SLOTS 2048U

/* Sizes up to this one find their class in a table. */
#define SIZE_CLASS_TABLE_BYTES 2048U
#define SIZE_CLASS_FIRST_OVER 45U

/* No slab has more pages: holes of one fit a word. */
#define SIZE_CLASS_MAX_PAGES 64U

struct size_class {
	uint32_t bytes;
	uint32_t page_inverse; /* of page_slots, rounded up, times 2^SIZE_CLASS_PAGE_SHIFT */
	uint16_t slots;
	uint16_t pages;
	uint16_t page_slots; /* to a page; 0: slots run on over page ends */
};

/* Exact for all slots of a slab. */
#define SIZE_CLASS_PAGE_SHIFT 24

extern const struct size_class size_classes[SIZE_CLASSES + 1];

/*
 * 2^32 over the class's bytes, rounded up (1 where a slab is one slot).  Within a slab, offset
 * times this is the slot in its upper half, and less than the inverse in its lower half only where
 * a slot begins: Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019.  A test
 * tries every offset of every class.
 */
extern const uint32_t size_class_inverse[SIZE_CLASSES + 1];

/* By (size + 15) / 16. */
extern const uint8_t size_class_table[SIZE_CLASS_TABLE_BYTES / 16 + 1];

/* size <= SIZE_CLASS_MAX_BYTES. */
static inline unsigned size_class_of(size_t size)
{
	size_t last = size - 1;
	unsigned power;
	unsigned step;

	if (__builtin_expect(size <= SIZE_CLASS_TABLE_BYTES, 1))
		return size_class_table[(size + 15) / 16];
	power = bits_highest(last);
	step = (unsigned)(last >> (power - 4) & 15);
	return SIZE_CLASS_FIRST_OVER + (power - 11) * 9 + step / 2 + (step != 0);
}

/* The smallest class that holds size at this alignment (a power of two up to a page), or 0. */
unsigned size_class_aligned(size_t size, size_t alignment);

/* Where a slot begins in its slab. */
static inline size_t size_class_offset(unsigned size_class, size_t slot)
{
	const struct size_class *class = &size_classes[size_class];
	size_t page = slot * class->page_inverse >> SIZE_CLASS_PAGE_SHIFT;

	return page * PAGE_BYTES + (slot - page * class->page_slots) * class->bytes;
}

/* The slot that begins at an offset of a slab, or SIZE_MAX. */
static inline size_t size_class_slot(unsigned size_class, size_t offset)
{
	const struct size_class *class = &size_classes[size_class];
	uint32_t inverse = size_class_inverse[size_class];
	size_t before = 0;
	size_t slots = class->slots;
	uint64_t product;

	if (class->page_slots != 0) {
		slots = class->page_slots;
		before = (offset >> PAGE_SHIFT) * slots;
		offset &= PAGE_BYTES - 1;
	}
	product = offset * inverse;
	if ((uint32_t)product >= inverse || product >> 32 >= slots)
		return SIZE_MAX;
	return before + (size_t)(product >> 32);
}

/* The slot over the first, or the last, byte of a page; of tails, the slot before. */
static inline size_t size_class_slot_over(unsigned size_class, size_t page, bool last)
{
	const struct size_class *class = &size_classes[size_class];

	if (class->page_slots != 0)
		return page * class->page_slots + (last ? class->page_slots - 1U : 0);
	return (page * PAGE_BYTES + (last ? PAGE_BYTES - 1 : 0)) / class->bytes;
}

/*
 * Whether a slot begins at this offset, counted from the page's start in a class
 * with page_slots, else from any slot's.  The offset behind a page's last slot passes too;
 * of class 0 none does.
 */
static inline bool size_class_starts(size_t size_class, size_t offset)
{
	uint32_t inverse = size_class_inverse[size_class];

	return (uint32_t)offset * inverse < inverse;
}

#endif
