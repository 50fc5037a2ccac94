/* Sizes and shares of settings: from text to numbers. */
#include "shim/amount.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* "12.5" is 12 and 500. */
struct number {
	uint64_t whole;
	uint64_t thousandths;
};

/* What follows the number, NULL where there is none. */
static const char *number_parse(const char *text, struct number *number)
{
	uint64_t scale = 1000;

	*number = (struct number){0};
	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number->whole, 10U, &number->whole) ||
			__builtin_add_overflow(
				number->whole, (uint64_t)(*text - '0'), &number->whole))
			return NULL;
	if (*text != '.')
		return text;
	for (text++; *text >= '0' && *text <= '9' && scale != 1; text++) {
		scale /= 10;
		number->thousandths += (uint64_t)(*text - '0') * scale;
	}
	return text[-1] == '.' ? NULL : text;
}

int amount_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KkMmGgTt";
	struct number number;
	const char *unit;
	unsigned shift = 0;
	uint64_t sum;

	text = number_parse(text, &number);
	if (text == NULL)
		return -EINVAL;
	unit = *text == '\0' ? NULL : strchr(units, *text);
	if (unit != NULL) {
		shift = (unsigned)((unit - units) / 2 + 1) * 10;
		text++;
	}
	if (strcmp(text, "") != 0 && strcmp(text, "B") != 0 &&
		(unit == NULL || strcmp(text, "iB") != 0))
		return -EINVAL;
	if (__builtin_mul_overflow(number.whole, (uint64_t)1 << shift, &sum) ||
		__builtin_add_overflow(sum, (number.thousandths << shift) / 1000, &sum) ||
		sum > INT64_MAX)
		return -EINVAL;
	*bytes = sum;
	return 0;
}

int amount_parse_share(const char *text, uint64_t *thousandths)
{
	struct number number;

	text = number_parse(text, &number);
	if (text == NULL || strcmp(text, "%") != 0 || number.whole > 100)
		return -EINVAL;
	*thousandths = number.whole * 1000 + number.thousandths;
	return 0;
}
