#ifndef SHIM_HEAP_BASE_BITS_H
#define SHIM_HEAP_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Tricks on words and rows of words, bit 0 of word 0 being first.  Written out
 * where the compiler would otherwise call into libgcc.
 */

static inline unsigned bits_count(uint64_t word)
{
	/* What pages' bits mostly are. */
	if (word == 0 || word == UINT64_MAX)
		return word == 0 ? 0 : 64;
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (unsigned)(word * 0x0101010101010101ULL >> 56);
}

/* Index of the lowest and of the highest set bit; word is not 0. */
static inline unsigned bits_lowest(uint64_t word)
{
	return (unsigned)__builtin_ctzll(word);
}

static inline unsigned bits_highest(uint64_t word)
{
	return 63U - (unsigned)__builtin_clzll(word);
}

/* Bits first .. end - 1; 0 <= first <= end <= 64. */
static inline uint64_t bits_mask(size_t first, size_t end)
{
	uint64_t upto = end >= 64 ? UINT64_MAX : ((uint64_t)1 << end) - 1;

	return first >= 64 ? 0 : upto & (UINT64_MAX << first);
}

/* The part of range [at, end) that lies in the word holding bit `at`. */
static inline uint64_t bits_mask_in_word(size_t at, size_t end)
{
	size_t base = at & ~(size_t)63;

	return bits_mask(at - base, end - base > 64 ? 64 : end - base);
}

/* Length of the longest run of set bits: run by run. */
static inline unsigned bits_longest(uint64_t word)
{
	unsigned longest = 0;

	while (word != 0) {
		uint64_t from = word >> bits_lowest(word);
		unsigned length = from == UINT64_MAX ? 64 : bits_lowest(~from);

		longest = length > longest ? length : longest;
		word = length == 64 ? 0 : from >> length;
	}
	return longest;
}

/* First bit at or after `at` that is set (or clear), `end` when there is none. */
size_t bits_next(const uint64_t *words, size_t at, size_t end, bool set);

/* Last bit below `below` that is set (or clear), plus one; 0 when there is none. */
size_t bits_end_before(const uint64_t *words, size_t below, bool set);

/* Clears a range; how many of its bits were set. */
size_t bits_clear(uint64_t *words, size_t first, size_t end);

/* First place where `length` set bits begin, or SIZE_MAX. */
size_t bits_find_run(const uint64_t *words, size_t end, size_t length);

/* The highest run of set bits that lies wholly below `below`: its first bit and end; false: none.
 */
bool bits_last_run(const uint64_t *words, size_t below, size_t *first, size_t *end);

/* Runs of set bits: at the start, the longest, at the end. */
struct bits_runs {
	uint32_t start;
	uint32_t max;
	uint32_t end;
};

struct bits_runs bits_runs_of(const uint64_t *words, size_t count);

#endif
