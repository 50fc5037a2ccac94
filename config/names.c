/* Which names are valid, and which known one is nearest to a misspelt one. */
#include "config/names.h"

#include <ctype.h>
#include <string.h>

bool names_valid(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t length = strlen(name);

	return length >= 1 && length <= NAMES_CHARS_MAX && strspn(name, allowed) == length &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned names_distance(const char *a, const char *b)
{
	unsigned rows[3][NAMES_CHARS_MAX + 1];
	unsigned *before = rows[0];
	unsigned *above = rows[1];
	unsigned *row = rows[2];
	size_t a_length = strnlen(a, NAMES_CHARS_MAX);
	size_t b_length = strnlen(b, NAMES_CHARS_MAX);

	for (size_t j = 0; j <= b_length; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned change = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
			row[j] = least(change, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		unsigned *oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_length];
}

void names_offer(struct names_nearest *nearest, const char *known)
{
	unsigned distance = names_distance(nearest->wanted, known);
	size_t length = strlen(known);

	/* Farther than a third of the name is another word. */
	if (distance > 1 + length / 3 || distance >= length)
		return;
	if (nearest->best == NULL || distance < nearest->distance) {
		nearest->best = known;
		nearest->distance = distance;
	}
}
