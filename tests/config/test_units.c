#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "config/units.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)
#define UNTOUCHED 4711

/* Says which row it was: cmocka names only the line. */
static void expect(const char *text, int64_t got, int64_t wanted)
{
	if (got != wanted)
		fail_msg("\"%s\": got %jd, expected %jd", text, (intmax_t)got, (intmax_t)wanted);
}

struct row {
	const char *text;
	int error;
	uint64_t value;
};

#define END \
	{ \
		.text = NULL \
	}

static void test_sizes_are_powers_of_1024(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"4096", 0, 4096},
		{"007", 0, 7},
		{"12B", 0, 12},
		{"64K", 0, 64 * KIB},
		{"64KB", 0, 64 * KIB},
		{"64KiB", 0, 64 * KIB},
		{"512M", 0, 512 * MIB},
		{"512m", 0, 512 * MIB},
		{"512mb", 0, 512 * MIB},
		{"1GiB", 0, GIB},
		{"1gib", 0, GIB},
		{"1.5G", 0, GIB + GIB / 2},
		{"1.50G", 0, GIB + GIB / 2},
		{"0.5K", 0, 512},
		{"0.1K", 0, 102},
		{"1.000001T", 0, TIB + TIB / 1000000},
		{"2T", 0, 2 * TIB},
		{"1.0", 0, 1},
		{"9223372036854775807", 0, INT64_MAX},
		{"8388607T", 0, 8388607 * TIB},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		uint64_t bytes = UNTOUCHED;
		expect(row->text, units_parse_size(row->text, &bytes), row->error);
		expect(row->text, (int64_t)bytes, (int64_t)row->value);
	}
}

static void test_what_is_no_size_is_refused_and_changes_nothing(void **state)
{
	static const struct row rows[] = {
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1 M", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"1.5B", -EINVAL, 0},
		{"1.M", -EINVAL, 0},
		{".5M", -EINVAL, 0},
		{"1.0000001G", -EINVAL, 0},
		{"1,5G", -EINVAL, 0},
		{"1e6", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1i", -EINVAL, 0},
		{"1iB", -EINVAL, 0},
		{"1Ki", -EINVAL, 0},
		{"1E", -EINVAL, 0},
		{"1MM", -EINVAL, 0},
		{"1M2K", -EINVAL, 0},
		{"80%", -EINVAL, 0},
		{"off", -EINVAL, 0},
		{"99999999999999999999x", -EINVAL, 0},
		{"9223372036854775808", -ERANGE, 0},
		{"18446744073709551615", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"18446744073709551617K", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"8388608T", -ERANGE, 0},
		{"16777216.5T", -ERANGE, 0},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		uint64_t bytes = UNTOUCHED;
		expect(row->text, units_parse_size(row->text, &bytes), row->error);
		expect(row->text, (int64_t)bytes, UNTOUCHED);
	}
}

static void test_shares_are_whole_permille_up_to_all(void **state)
{
	static const struct row rows[] = {
		{"0%", 0, 0},
		{"80%", 0, 800},
		{"12.5%", 0, 125},
		{"0.1%", 0, 1},
		{"12.50%", 0, 125},
		{"100%", 0, 1000},
		{"100.0%", 0, 1000},
		{"100.1%", -ERANGE, UNTOUCHED},
		{"101%", -ERANGE, UNTOUCHED},
		{"18446744073709551617%", -ERANGE, UNTOUCHED},
		{"429496730%", -ERANGE, UNTOUCHED},
		{"0.05%", -EINVAL, UNTOUCHED},
		{"12.55%", -EINVAL, UNTOUCHED},
		{"-1%", -EINVAL, UNTOUCHED},
		{"%", -EINVAL, UNTOUCHED},
		{"5", -EINVAL, UNTOUCHED},
		{"5 %", -EINVAL, UNTOUCHED},
		{"5%%", -EINVAL, UNTOUCHED},
		{"5% ", -EINVAL, UNTOUCHED},
		{"", -EINVAL, UNTOUCHED},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		uint32_t permille = UNTOUCHED;
		expect(row->text, units_parse_share(row->text, &permille), row->error);
		expect(row->text, permille, (int64_t)row->value);
	}
}

static void test_processors_are_a_number_or_a_share_of_one(void **state)
{
	static const struct row rows[] = {
		{"1", 0, 1000},
		{"1.5", 0, 1500},
		{"0.01", 0, 10},
		{"50%", 0, 500},
		{"250%", 0, 2500},
		{"0.1%", 0, 1},
		{"0", 0, 0},
		{"1000000", 0, 1000000000},
		{"1000001", -ERANGE, UNTOUCHED},
		{"18446744073709551617", -ERANGE, UNTOUCHED},
		{"1.0005", -EINVAL, UNTOUCHED},
		{"0.05%", -EINVAL, UNTOUCHED},
		{"-1", -EINVAL, UNTOUCHED},
		{"1 cpu", -EINVAL, UNTOUCHED},
		{"", -EINVAL, UNTOUCHED},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		uint32_t permille = UNTOUCHED;
		expect(row->text, units_parse_cpus(row->text, &permille), row->error);
		expect(row->text, permille, (int64_t)row->value);
	}
}

static void test_an_amount_is_a_size_a_share_or_off(void **state)
{
	static const struct {
		const char *text;
		int error;
		struct config_amount amount;
	} rows[] = {
		{"64M", 0, {.bytes = 64 * MIB}},
		{"12.5%", 0, {.permille = 125}},
		{"off", 0, {0}},
		{"0", 0, {0}},
		{"0%", 0, {0}},
		{"OFF", -EINVAL, {UNTOUCHED, UNTOUCHED}},
		{"64M%", -EINVAL, {UNTOUCHED, UNTOUCHED}},
		{"none", -EINVAL, {UNTOUCHED, UNTOUCHED}},
		{"", -EINVAL, {UNTOUCHED, UNTOUCHED}},
		{"120%", -ERANGE, {UNTOUCHED, UNTOUCHED}},
		{"9000000T", -ERANGE, {UNTOUCHED, UNTOUCHED}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_amount amount = {UNTOUCHED, UNTOUCHED};
		expect(rows[i].text, units_parse_amount(rows[i].text, &amount), rows[i].error);
		expect(rows[i].text, (int64_t)amount.bytes, (int64_t)rows[i].amount.bytes);
		expect(rows[i].text, amount.permille, rows[i].amount.permille);
	}
}

static void test_durations_are_whole_milliseconds(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"250ms", 0, 250},
		{"2s", 0, 2000},
		{"10", 0, 10000},
		{"1.5", 0, 1500},
		{"0.25s", 0, 250},
		{"1m", 0, 60000},
		{"1.5m", 0, 90000},
		{"1h", 0, 3600000},
		{"4294967295ms", 0, UINT32_MAX},
		{"1193h", 0, 1193 * UINT64_C(3600000)},
		{"4294967296ms", -ERANGE, UNTOUCHED},
		{"4294968", -ERANGE, UNTOUCHED},
		{"1194h", -ERANGE, UNTOUCHED},
		{"18446744073709551616s", -ERANGE, UNTOUCHED},
		{"18446744073709551615h", -ERANGE, UNTOUCHED},
		{"1.5ms", -EINVAL, UNTOUCHED},
		{"0.0005s", -EINVAL, UNTOUCHED},
		{"-2s", -EINVAL, UNTOUCHED},
		{"2S", -EINVAL, UNTOUCHED},
		{"2M", -EINVAL, UNTOUCHED},
		{"2 s", -EINVAL, UNTOUCHED},
		{"2sec", -EINVAL, UNTOUCHED},
		{"1m30s", -EINVAL, UNTOUCHED},
		{"1d", -EINVAL, UNTOUCHED},
		{"s", -EINVAL, UNTOUCHED},
		{"", -EINVAL, UNTOUCHED},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		uint32_t duration_ms = UNTOUCHED;
		expect(row->text, units_parse_duration(row->text, &duration_ms), row->error);
		expect(row->text, duration_ms, (int64_t)row->value);
	}
}

static void test_psi_thresholds_are_kind_stall_and_window(void **state)
{
	static const struct {
		const char *text;
		struct config_psi psi;
	} rows[] = {
		{"some 5% 2s", {CONFIG_PSI_SOME, 50, 2000}},
		{"full 200ms 2s", {CONFIG_PSI_FULL, 100, 2000}},
		{"some\t12.5%  \t 500ms", {CONFIG_PSI_SOME, 125, 500}},
		{"some 1 10", {CONFIG_PSI_SOME, 100, 10000}},
		{"full 2s 2s", {CONFIG_PSI_FULL, 1000, 2000}},
		{"full 100% 1s", {CONFIG_PSI_FULL, 1000, 1000}},
		/* Never rounded down to off. */
		{"some 1ms 10s", {CONFIG_PSI_SOME, 1, 10000}},
		{"some 15ms 10s", {CONFIG_PSI_SOME, 2, 10000}},
		{"some 1193h 1193h", {CONFIG_PSI_SOME, 1000, 1193 * UINT32_C(3600000)}},
		{"off", {0}},
		{"0", {0}},
		{"some 0% 2s", {0}},
		{"full 0ms 2s", {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_psi psi = {CONFIG_PSI_FULL, UNTOUCHED, UNTOUCHED};
		expect(rows[i].text, units_parse_psi(rows[i].text, &psi), 0);
		expect(rows[i].text, psi.kind, rows[i].psi.kind);
		expect(rows[i].text, psi.permille, rows[i].psi.permille);
		expect(rows[i].text, psi.window_ms, rows[i].psi.window_ms);
	}
}

static void test_what_is_no_psi_threshold_is_refused(void **state)
{
	static const struct row rows[] = {
		{"", -EINVAL, 0},
		{"some", -EINVAL, 0},
		{"some 5%", -EINVAL, 0},
		{"5% 2s", -EINVAL, 0},
		{"some 5% 2s 1s", -EINVAL, 0},
		{"some 5% 2s ", -EINVAL, 0},
		{" some 5% 2s", -EINVAL, 0},
		{"some5% 2s", -EINVAL, 0},
		{"some 5%2s", -EINVAL, 0},
		{"any 5% 2s", -EINVAL, 0},
		{"Some 5% 2s", -EINVAL, 0},
		{"some -5% 2s", -EINVAL, 0},
		{"some 5% 2%", -EINVAL, 0},
		{"some 64M 2s", -EINVAL, 0},
		{"some 0000000000000000000000000000000000005% 2s", -EINVAL, 0},
		{"some 3s 2s", -ERANGE, 0},
		{"some 101% 2s", -ERANGE, 0},
		{"some 5% 0s", -ERANGE, 0},
		{"some 5% 2000h", -ERANGE, 0},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		struct config_psi psi = {CONFIG_PSI_FULL, UNTOUCHED, UNTOUCHED};
		expect(row->text, units_parse_psi(row->text, &psi), row->error);
		expect(row->text, psi.permille, UNTOUCHED);
		expect(row->text, psi.window_ms, UNTOUCHED);
	}
}

static void test_signals_have_names_numbers_and_realtime_offsets(void **state)
{
	const struct {
		const char *text;
		int error;
		int number;
	} rows[] = {
		{"TERM", 0, SIGTERM},
		{"SIGTERM", 0, SIGTERM},
		{"sigterm", 0, SIGTERM},
		{"15", 0, 15},
		{"HUP", 0, SIGHUP},
		{"USR1", 0, SIGUSR1},
		{"SIGSYS", 0, SIGSYS},
		{"1", 0, 1},
		{"31", 0, 31},
		{"RTMIN", 0, SIGRTMIN},
		{"RTMIN+3", 0, SIGRTMIN + 3},
		{"SIGRTMIN+0", 0, SIGRTMIN},
		{"RTMAX", 0, SIGRTMAX},
		{"rtmax-1", 0, SIGRTMAX - 1},
		{"64", 0, 64},
		{"0", -ERANGE, UNTOUCHED},
		{"32", -ERANGE, UNTOUCHED},
		{"33", -ERANGE, UNTOUCHED},
		{"65", -ERANGE, UNTOUCHED},
		{"99999999999999999999", -ERANGE, UNTOUCHED},
		{"RTMIN+31", -ERANGE, UNTOUCHED},
		{"RTMAX-31", -ERANGE, UNTOUCHED},
		{"RTMIN+99999999999999999999", -ERANGE, UNTOUCHED},
		{"RTMIN-1", -EINVAL, UNTOUCHED},
		{"RTMAX+1", -EINVAL, UNTOUCHED},
		{"RTMIN+", -EINVAL, UNTOUCHED},
		{"RTMIN+1x", -EINVAL, UNTOUCHED},
		{"RTMIN+1.5", -EINVAL, UNTOUCHED},
		{"RTMIN3", -EINVAL, UNTOUCHED},
		{"15x", -EINVAL, UNTOUCHED},
		{"15.0", -EINVAL, UNTOUCHED},
		{"-15", -EINVAL, UNTOUCHED},
		{"SIG", -EINVAL, UNTOUCHED},
		{"SIG15", -EINVAL, UNTOUCHED},
		{"SIGSIGTERM", -EINVAL, UNTOUCHED},
		{"TERMINATE", -EINVAL, UNTOUCHED},
		{"", -EINVAL, UNTOUCHED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int number = UNTOUCHED;
		expect(rows[i].text, units_parse_signal(rows[i].text, &number), rows[i].error);
		expect(rows[i].text, number, rows[i].number);
	}
}

static void test_every_signal_name_of_the_c_library_is_known(void **state)
{
	(void)state;
	for (int i = 1; i < SIGSYS; i++) {
		const char *name = sigabbrev_np(i);
		int number = UNTOUCHED;
		if (name == NULL)
			continue;
		/* glibc calls this one by its older name. */
		if (strcmp(name, "POLL") == 0)
			name = "IO";
		expect(name, units_parse_signal(name, &number), 0);
		expect(name, number, i);
	}
}

static void test_booleans_have_four_spellings(void **state)
{
	static const struct row rows[] = {
		{"true", 0, 1},
		{"yes", 0, 1},
		{"on", 0, 1},
		{"1", 0, 1},
		{"True", 0, 1},
		{"false", 0, 0},
		{"no", 0, 0},
		{"off", 0, 0},
		{"0", 0, 0},
		{"", -EINVAL, 0},
		{"2", -EINVAL, 0},
		{"tru", -EINVAL, 0},
		{"true ", -EINVAL, 0},
		END,
	};

	(void)state;
	for (const struct row *row = rows; row->text != NULL; row++) {
		bool value = row->value == 0;
		expect(row->text, units_parse_boolean(row->text, &value), row->error);
		expect(row->text, value, row->error == 0 ? row->value == 1 : true);
	}
}

static void test_formatted_amounts_read_back_as_the_same(void **state)
{
	static const struct {
		struct config_amount amount;
		const char *text;
	} rows[] = {
		{{0}, "off"},
		{{.bytes = 1}, "1"},
		{{.bytes = 1025}, "1025"},
		{{.bytes = 64 * MIB}, "64M"},
		{{.bytes = 1536 * MIB}, "1536M"},
		{{.bytes = 3 * TIB}, "3T"},
		{{.bytes = INT64_MAX}, "9223372036854775807"},
		{{.permille = 800}, "80%"},
		{{.permille = 125}, "12.5%"},
		{{.permille = 1}, "0.1%"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_amount back = {UNTOUCHED, UNTOUCHED};
		char text[UNITS_TEXT_BYTES];
		units_format_amount(rows[i].amount, text, sizeof text);
		assert_string_equal(text, rows[i].text);
		expect(text, units_parse_amount(text, &back), 0);
		expect(text, (int64_t)back.bytes, (int64_t)rows[i].amount.bytes);
		expect(text, back.permille, rows[i].amount.permille);
	}
}

static void test_formatted_durations_and_thresholds_read_back_as_the_same(void **state)
{
	static const struct {
		uint32_t duration_ms;
		const char *text;
	} rows[] = {
		{0, "0ms"},
		{250, "250ms"},
		{2000, "2s"},
		{90000, "90s"},
		{120000, "2m"},
		{7200000, "2h"},
		{UINT32_MAX, "4294967295ms"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_psi psi = {CONFIG_PSI_FULL, 125, rows[i].duration_ms};
		struct config_psi psi_back;
		uint32_t back;
		char text[UNITS_TEXT_BYTES];
		units_format_duration(rows[i].duration_ms, text, sizeof text);
		assert_string_equal(text, rows[i].text);
		expect(text, units_parse_duration(text, &back), 0);
		expect(text, back, rows[i].duration_ms);
		if (psi.window_ms == 0)
			continue;
		units_format_psi(psi, text, sizeof text);
		expect(text, units_parse_psi(text, &psi_back), 0);
		expect(text, memcmp(&psi, &psi_back, sizeof psi), 0);
	}
	char text[UNITS_TEXT_BYTES];
	units_format_psi((struct config_psi){0}, text, sizeof text);
	assert_string_equal(text, "off");
	units_format_psi((struct config_psi){CONFIG_PSI_SOME, 50, 2000}, text, sizeof text);
	assert_string_equal(text, "some 5% 2s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_powers_of_1024),
		cmocka_unit_test(test_what_is_no_size_is_refused_and_changes_nothing),
		cmocka_unit_test(test_shares_are_whole_permille_up_to_all),
		cmocka_unit_test(test_processors_are_a_number_or_a_share_of_one),
		cmocka_unit_test(test_an_amount_is_a_size_a_share_or_off),
		cmocka_unit_test(test_durations_are_whole_milliseconds),
		cmocka_unit_test(test_psi_thresholds_are_kind_stall_and_window),
		cmocka_unit_test(test_what_is_no_psi_threshold_is_refused),
		cmocka_unit_test(test_signals_have_names_numbers_and_realtime_offsets),
		cmocka_unit_test(test_every_signal_name_of_the_c_library_is_known),
		cmocka_unit_test(test_booleans_have_four_spellings),
		cmocka_unit_test(test_formatted_amounts_read_back_as_the_same),
		cmocka_unit_test(test_formatted_durations_and_thresholds_read_back_as_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
