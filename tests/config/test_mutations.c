#include "tests/config/loading.h"

#include <stdlib.h>

#include "config/command.h"
#include "config/units.h"
#include "tests/support/config_whole.h"
#include "tests/support/random.h"

/*
 * Texts that nobody would write: good ones with some bytes changed, cut, moved,
 * doubled or taken from other texts.  Whatever comes in, the loader ends, reads
 * and writes nothing outside (the sanitizers see to that), and its answer holds
 * together.
 */

#define ROUNDS 40000
#define TEXT_BYTES 20000

static const char *const seeds[] = {
	"[supervisor]\npressure_signals = USR1:eager USR2:full\n",
	"[service:web]\ncommand = sh -c 'echo a ; echo b'\npolicy = p\nmemory_max = 512M\n"
	"memory_high = 80%\nenvironment = A=\"x y\",B=2\n[policy:p]\nhold = 3s\n",
	"[policy:default]\nlazy_headroom = 25%\neager_headroom = 15%\nfull_headroom = 8%\n"
	"lazy_time_to_wall = 10s\neager_time_to_wall = 4s\nfull_time_to_wall = 1s\n"
	"lazy_pressure = some 5% 2s\neager_pressure = some 15% 2s\nfull_pressure = full 10% 2s\n"
	"hold = 5s\nreserve = 4%\ngate_wait = 200ms\nbrake = 6%\nbrake_hold = 3s\n"
	"scavenge = go1.12\nmadvise = dontneed\nscavenge_cpu = 1%\ncore_worth = 2G\n",
	"\xEF\xBB\xBF# comment\r\n[service:a]\r\ncommand: \"a \\\" b\"\r\nautorestart = true\r\n"
	"stopsignal = RTMIN+3\r\nstopwaitsecs = 1.5m\r\nshim = off\r\nuser = nobody\r\n"
	"directory = /\r\n[service:b]\r\ncommand = b\r\n",
	"[supervisord]\nnodaemon=true\nenvironment=A=\"1\"\n[program:w]\ncommand=w "
	"%(process_num)d\n"
	"process_name=%(program_name)s_%(process_num)02d\nnumprocs=3\nautorestart=unexpected\n"
	"environment=\n    A=\"x\",\n    B=y ; comment\nstdout_logfile=/x\nexitcodes=0,2\n"
	"[group:g]\nprograms=w\npriority=3\n[rpcinterface:x]\na=b\n",
};

static const char *const pieces[] = {"[program:", "%(", "%(process_num)02d", "numprocs=", "\n ",
	"[group:", "programs=", "[supervisord]\n", "stdout_logfile = ", "[", "]", "=", ":", "\n",
	"\r", " ;", " #", "\"", "'", "\\", "%", ",", "\t", "\x1b", "\xff", "0",
	"99999999999999999999", "off", "some ", "full ", "ms", "1.5",
	"[service:", "[policy:", "command = ", "policy = ", "environment = ", "memory_max = ",
	"lazy_pressure = ", "scavenge = ", "core_worth = ", "pressure_signals = ", "\n\n", "-1",
	"RTMIN+", "TiB", "\xEF\xBB\xBF"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Puts size bytes at a random place, over what is there or before it. */
static size_t splice(char *text, size_t length, const char *from, size_t size)
{
	size_t at = random_below(length + 1);

	if (length + size > TEXT_BYTES)
		return length;
	if (random_below(2) == 0) {
		memmove(text + at + size, text + at, length - at);
		memcpy(text + at, from, size);
		return length + size;
	}
	memcpy(text + at, from, size);
	return at + size > length ? at + size : length;
}

static size_t mutate(char *text, size_t length)
{
	static char copy[TEXT_BYTES];
	const char *piece = pieces[random_below(COUNT(pieces))];
	size_t at = random_below(length + 1);
	size_t size = random_below(length - at + 1);

	switch (random_below(8)) {
	case 0:
		text[at < length ? at : 0] = (char)random_below(256);
		return length == 0 ? 1 : length;
	case 1:
		memmove(text + at, text + at + size, length - at - size);
		return length - size;
	case 2:
		memcpy(copy, text + at, size);
		return splice(text, length, copy, size);
	case 3:
		size = random_below(9000);
		memset(copy, "x =\""[random_below(4)], size);
		return splice(text, length, copy, size);
	case 4:
		piece = seeds[random_below(COUNT(seeds))];
		at = random_below(strlen(piece) + 1);
		return splice(text, length, piece + at, random_below(strlen(piece) - at + 1));
	default:
		return splice(text, length, piece, strlen(piece));
	}
}

static size_t text_make(char *text)
{
	const char *seed = seeds[random_below(COUNT(seeds))];
	size_t length = strlen(seed);

	memcpy(text, seed, length + 1);
	for (size_t rounds = 1 + random_below(6); rounds > 0; rounds--)
		length = mutate(text, length);
	return length;
}

static void holds(const char *wrong)
{
	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static void test_mutated_files_load_or_fail_but_hold_together(void **state)
{
	static char text[TEXT_BYTES];
	static struct config config;
	static struct config_errors errors;
	unsigned loaded = 0;
	unsigned refused = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t length = text_make(text);
		/* Of its own, so that a read behind its end is seen. */
		char *exact = malloc(length > 0 ? length : 1);
		int error;
		assert_non_null(exact);
		memcpy(exact, text, length);
		error = config_load_text(exact, length, &config, &errors);
		free(exact);
		if (error == 0) {
			assert_int_equal(errors.count, 0);
			holds(config_whole(&config));
			config_free(&config);
			loaded++;
		} else {
			assert_int_equal(error, -EINVAL);
			holds(config_errors_whole(&errors));
			refused++;
		}
	}
	/* Neither half of it may be an accident. */
	assert_true(loaded > 20);
	assert_true(refused > 20);
}

static void test_every_prefix_of_a_file_holds_together(void **state)
{
	static struct config config;
	static struct config_errors errors;

	(void)state;
	for (size_t i = 0; i < COUNT(seeds); i++) {
		for (size_t length = 0; length <= strlen(seeds[i]); length++) {
			char *exact = malloc(length > 0 ? length : 1);
			assert_non_null(exact);
			memcpy(exact, seeds[i], length);
			if (config_load_text(exact, length, &config, &errors) == 0) {
				holds(config_whole(&config));
				config_free(&config);
			} else {
				holds(config_errors_whole(&errors));
			}
			free(exact);
		}
	}
}

/* Every short text over what the parsers look for, and what they take reads back the same. */
static void test_short_values_are_read_alike_or_refused(void **state)
{
	static const char letters[] = "019.%msKiBohf+-R ";
	const size_t base = sizeof letters - 1;
	struct config_amount amount;
	struct config_amount amount_back;
	uint32_t duration_ms;
	uint32_t duration_back_ms;
	char text[8];
	char formatted[UNITS_TEXT_BYTES];
	size_t combinations = 1;

	(void)state;
	for (size_t length = 0; length <= 4; length++, combinations *= base) {
		for (size_t number = 0; number < combinations; number++) {
			size_t rest = number;
			for (size_t i = 0; i < length; i++, rest /= base)
				text[i] = letters[rest % base];
			text[length] = '\0';
			if (units_parse_amount(text, &amount) == 0) {
				units_format_amount(amount, formatted, sizeof formatted);
				assert_int_equal(units_parse_amount(formatted, &amount_back), 0);
				assert_int_equal(amount.bytes, amount_back.bytes);
				assert_int_equal(amount.permille, amount_back.permille);
			}
			if (units_parse_duration(text, &duration_ms) == 0) {
				units_format_duration(duration_ms, formatted, sizeof formatted);
				assert_int_equal(
					units_parse_duration(formatted, &duration_back_ms), 0);
				assert_int_equal(duration_ms, duration_back_ms);
			}
		}
	}
}

/* What a word was made of comes back when it is quoted as a shell would quote it. */
static void test_any_word_survives_single_quotes(void **state)
{
	static const char letters[] = "a '\"\\;#\t\xff$`,";
	char word[16];
	char text[128];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t length = random_below(sizeof word);
		char *to = text;
		char **words;
		const char *why;
		to = stpcpy(to, "x '");
		for (size_t i = 0; i < length; i++) {
			word[i] = letters[random_below(sizeof letters - 1)];
			if (word[i] == '\'')
				to = stpcpy(to, "'\\''");
			else
				*to++ = word[i];
		}
		word[length] = '\0';
		stpcpy(to, "'");
		assert_int_equal(command_split(text, &words, &why), 0);
		assert_string_equal(words[1], word);
		assert_null(words[2]);
		command_free(words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutated_files_load_or_fail_but_hold_together),
		cmocka_unit_test(test_every_prefix_of_a_file_holds_together),
		cmocka_unit_test(test_short_values_are_read_alike_or_refused),
		cmocka_unit_test(test_any_word_survives_single_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
