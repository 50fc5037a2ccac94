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
 * A slab is cut group by group: so many slots from the start of each group of so many pages,
 * and a tail that is less than a slot.
 *
 * Where a size allows it, a group is one page.  No such slot lies over two pages, so that
 * a block which lives on keeps one page resident and not two.  These are the sizes where one more
 * slot fits a page, as far as the bound asks for them: every class more is a page more
 * that is used in part, wherever blocks of many sizes come together.  Up to 400 bytes
 * they are enough.
 *
 * Between them, page by page, 820 bytes would cost 1024, and 1400 would cost 2048.  So
 * up to 2 KiB there are other classes in between, with groups of two to six pages.  Of the slots
 * of a group one less than it has pages lie over a page end.  The price: when such a slot is
 * the one that lives on, it keeps two pages; and a page with more slots over it goes less
 * often.  So groups are as short as the bound lets them be.  Of all sets of about as many
 * classes within the bound this one, but for 512, which programs ask for, keeps the fewest pages
 * when one in twenty blocks, as many of each size, lives on: 0.050 pages for each block that
 * there was.
 *
 * Over 2 KiB a group is the whole slab in most classes, of as many pages as make a whole number
 * of slots without a tail.  There are nine classes to a doubling: eight equal steps, of
 * which the first is halved, because it is the largest part of its sizes.  One is 16 bytes
 * longer: 4368 bytes are a page of SQLite's with its header.  What other programs ask for loses
 * 1 to 6 % in all classes together (tests/bench/sizes/sizes.c has a table), so that
 * none of them is a reason for more classes.
 */
#define SIZE_CLASSES 99U
#define SIZE_CLASS_MAX_BYTES ((size_t)128 << 10)
#define SIZE_CLASS_MAX_SLOTS 2048U

/* Sizes up to this one find their class in a table. */
#define SIZE_CLASS_TABLE_BYTES 8192U
#define SIZE_CLASS_FIRST_OVER 64U

/* No slab has more pages: holes of one fit a word. */
#define SIZE_CLASS_MAX_PAGES 64U

struct size_class {
	uint32_t bytes;
	uint32_t slots_inverse; /* of group_slots, rounded up, times 2^SIZE_CLASS_SLOTS_SHIFT */
	uint32_t density;       /* slots to a byte of a group, times 2^32, rounded down */
	uint32_t least_part;    /* size_class_started */
	uint16_t slots;
	uint16_t pages;
	uint16_t group_slots;
	uint16_t group_pages;
	uint16_t pages_inverse; /* of group_pages, likewise, times 2^SIZE_CLASS_PAGES_SHIFT */
	uint16_t group_tail;    /* bytes */
};

/* Exact for all slots and pages of a slab. */
#define SIZE_CLASS_SLOTS_SHIFT 24
#define SIZE_CLASS_PAGES_SHIFT 15

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
	return SIZE_CLASS_FIRST_OVER + (power - 13) * 9 + step / 2 + (step != 0);
}

/* The smallest class that holds size at this alignment (a power of two up to a page), or 0. */
unsigned size_class_aligned(size_t size, size_t alignment);

/* Where a slot begins in its slab. */
static inline size_t size_class_offset_in(const struct size_class *class, size_t slot)
{
	size_t group = slot * class->slots_inverse >> SIZE_CLASS_SLOTS_SHIFT;

	return slot * class->bytes + group * class->group_tail;
}

static inline size_t size_class_offset(unsigned size_class, size_t slot)
{
	return size_class_offset_in(&size_classes[size_class], slot);
}

/* The group that a page of a slab lies in. */
static inline size_t size_class_group(const struct size_class *class, size_t page)
{
	return page * class->pages_inverse >> SIZE_CLASS_PAGES_SHIFT;
}

/* Whether no slot lies over two pages. */
static inline bool size_class_fits_pages(const struct size_class *class)
{
	return class->group_pages == 1;
}

/*
 * The slot that begins at an offset of a slab, if any slot does.  A group has fewer slots to a byte
 * than lie together without its tail: so a slot's offset times the density is the slot's number,
 * less a fraction, which is less than one since a tail is less than a slot.
 */
static inline size_t size_class_nearest(const struct size_class *class, size_t offset)
{
	return (size_t)(((uint64_t)offset * class->density + UINT32_MAX) >> 32);
}

/* The slot that begins at an offset of a slab, or SIZE_MAX. */
static inline size_t size_class_slot(unsigned size_class, size_t offset)
{
	const struct size_class *class = &size_classes[size_class];
	size_t slot = size_class_nearest(class, offset);

	return size_class_offset_in(class, slot) == offset ? slot : SIZE_MAX;
}

/*
 * The same for an offset at which size_class_starts is true, in fewer instructions.  What rounding
 * up adds is least behind a group's last slot: each slot of a group adds one more part of its tail.
 */
static inline size_t size_class_started(const struct size_class *class, size_t offset)
{
	uint64_t product = (uint64_t)offset * class->density + UINT32_MAX;

	return (uint32_t)product >= class->least_part ? product >> 32 : SIZE_MAX;
}

/* The slot over the first, or the last, byte of a page; of tails, the slot before. */
static inline size_t size_class_slot_over(unsigned size_class, size_t page, bool last)
{
	const struct size_class *class = &size_classes[size_class];

	size_t group = size_class_group(class, page);
	size_t in_group = page - group * class->group_pages;
	size_t slot = (in_group * PAGE_BYTES + (last ? PAGE_BYTES - 1 : 0)) / class->bytes;

	if (slot >= class->group_slots)
		slot = class->group_slots - 1U;
	return group * class->group_slots + slot;
}

/*
 * Whether a slot begins at this offset, counted from the start of any slot of its group.  The
 * offset behind a group's last slot passes too; of class 0 none does.
 */
static inline bool size_class_starts(size_t size_class, size_t offset)
{
	uint32_t inverse = size_class_inverse[size_class];

	return (uint32_t)offset * inverse < inverse;
}

#endif
