/* Runs of bits in arrays of words. */
#include "shim/heap/base/bits.h"

size_t bits_next(const uint64_t *words, size_t at, size_t end, bool set)
{
	while (at < end) {
		uint64_t word = (set ? words[at / 64] : ~words[at / 64]) & UINT64_MAX << at % 64;

		if (word != 0) {
			size_t found = (at & ~(size_t)63) + bits_lowest(word);

			return found < end ? found : end;
		}
		at = (at | 63) + 1;
	}
	return end;
}

size_t bits_clear(uint64_t *words, size_t first, size_t end)
{
	size_t set = 0;

	for (size_t at = first; at < end; at = (at | 63) + 1) {
		uint64_t mask = bits_mask_in_word(at, end);

		set += bits_count(words[at / 64] & mask);
		words[at / 64] &= ~mask;
	}
	return set;
}

size_t bits_find_run(const uint64_t *words, size_t end, size_t length)
{
	size_t at = 0;

	for (;;) {
		size_t first = bits_next(words, at, end, true);

		if (first == end || end - first < length)
			return SIZE_MAX;
		at = bits_next(words, first, end, false);
		if (at - first >= length)
			return first;
	}
}

size_t bits_end_before(const uint64_t *words, size_t below, bool set)
{
	while (below > 0) {
		size_t last = below - 1;
		uint64_t word =
			(set ? words[last / 64] : ~words[last / 64]) & bits_mask(0, last % 64 + 1);

		if (word != 0)
			return (last & ~(size_t)63) + bits_highest(word) + 1;
		below = last & ~(size_t)63;
	}
	return 0;
}

bool bits_last_run(const uint64_t *words, size_t below, size_t *first, size_t *end)
{
	*end = bits_end_before(words, below, true);
	*first = bits_end_before(words, *end, false);
	return *end != 0;
}

struct bits_runs bits_runs_of(const uint64_t *words, size_t count)
{
	struct bits_runs runs = {0};
	bool at_start = true;

	for (size_t i = 0; i < count; i++) {
		uint64_t word = words[i];

		if (word == UINT64_MAX) {
			runs.end += 64;
			continue;
		}
		runs.end += bits_lowest(~word);
		if (at_start)
			runs.start = runs.end;
		at_start = false;
		if (runs.end > runs.max)
			runs.max = runs.end;
		if (runs.max < 62 && bits_count(word) > runs.max) {
			unsigned inside = bits_longest(word);

			if (inside > runs.max)
				runs.max = inside;
		}
		runs.end = 63 - bits_highest(~word);
	}
	if (at_start)
		runs.start = runs.end;
	if (runs.end > runs.max)
		runs.max = runs.end;
	return runs;
}
