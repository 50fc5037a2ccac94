#ifndef TESTS_CONFIG_LOADING_H
#define TESTS_CONFIG_LOADING_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "config/config.h"

/* For tests that give a text and expect the whole config or the whole list of errors. */

#define LOADING_ERRORS_MAX 8

struct loading_row {
	const char *text;
	struct {
		unsigned line;
		const char *text;
	} errors[LOADING_ERRORS_MAX + 1]; /* up to the first without a text */
};

static inline void loading_succeeds_with(const char *text, size_t length, struct config *config)
{
	static struct config_errors errors;

	if (config_load_text(text, length, config, &errors) != 0)
		fail_msg("line %u: %s", errors.error[0].line, errors.error[0].text);
	assert_int_equal(errors.count, 0);
}

static inline void loading_succeeds(const char *text, struct config *config)
{
	loading_succeeds_with(text, strlen(text), config);
}

/* Exactly these errors, and a config that nobody touched. */
static inline void loading_fails(const struct loading_row *row)
{
	static struct config config;
	static struct config before;
	static struct config_errors errors;
	size_t i = 0;

	memset(&config, 0xA5, sizeof config);
	memcpy(&before, &config, sizeof before);
	assert_int_equal(config_load_text(row->text, strlen(row->text), &config, &errors), -EINVAL);
	assert_memory_equal(&config, &before, sizeof config);
	for (; row->errors[i].text != NULL && i < errors.count; i++) {
		if (errors.error[i].line != row->errors[i].line)
			fail_msg("%s\nline %u: %s\nexpected on line %u", row->text,
				errors.error[i].line, errors.error[i].text, row->errors[i].line);
		assert_string_equal(errors.error[i].text, row->errors[i].text);
	}
	if (i < errors.count)
		fail_msg("%s\nnot expected: line %u: %s", row->text, errors.error[i].line,
			errors.error[i].text);
	if (row->errors[i].text != NULL)
		fail_msg("%s\nmissing: line %u: %s", row->text, row->errors[i].line,
			row->errors[i].text);
}

#define loading_all_fail(rows) \
	for (size_t row_ = 0; row_ < sizeof(rows) / sizeof(rows)[0]; row_++) \
	loading_fails(&(rows)[row_])

#endif
