#include "shim/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shim/amount.h"

static unsigned wakes;

static void wake(void)
{
	wakes++;
}

static void test_sizes_are_read_whole_or_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
		uint64_t bytes;
	} rows[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"4096B", 0, 4096},
		{"64k", 0, 64 << 10},
		{"512M", 0, 512 << 20},
		{"512MB", 0, 512 << 20},
		{"512MiB", 0, 512 << 20},
		{"1.5G", 0, UINT64_C(3) << 29},
		{"0.001K", 0, 1},
		{"2T", 0, UINT64_C(2) << 40},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -EINVAL, 0},
		{"18446744073709551616", -EINVAL, 0},
		{"8388608T", -EINVAL, 0},
		{"99999999999999999999999G", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"1.2345M", -EINVAL, 0},
		{".5M", -EINVAL, 0},
		{"-1M", -EINVAL, 0},
		{"+1M", -EINVAL, 0},
		{" 1M", -EINVAL, 0},
		{"1M ", -EINVAL, 0},
		{"1 M", -EINVAL, 0},
		{"1X", -EINVAL, 0},
		{"1Mb", -EINVAL, 0},
		{"1iB", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t bytes = 42;

		assert_int_equal(amount_parse_size(rows[i].text, &bytes), rows[i].error);
		assert_int_equal(bytes, rows[i].error == 0 ? rows[i].bytes : 42);
	}
}

static void test_settings_are_read(void **state)
{
	struct limit_setting setting;
	(void)state;
	assert_int_equal(limit_parse("auto", &setting), 0);
	assert_int_equal(setting.kind, LIMIT_AUTO);
	assert_int_equal(limit_parse("off", &setting), 0);
	assert_int_equal(setting.kind, LIMIT_OFF);
	assert_int_equal(limit_parse("512M", &setting), 0);
	assert_int_equal(setting.kind, LIMIT_SIZE);
	assert_int_equal(setting.bytes, 512 << 20);
	assert_int_equal(limit_parse("80%", &setting), 0);
	assert_int_equal(setting.kind, LIMIT_SHARE);
	assert_int_equal(setting.permille, 800);
	assert_int_equal(limit_parse("0.1%", &setting), 0);
	assert_int_equal(setting.permille, 1);
	assert_int_equal(limit_parse("100%", &setting), 0);
	assert_int_equal(setting.permille, 1000);
	assert_int_equal(limit_parse("9223372036854775807", &setting), 0);
	assert_int_equal(setting.bytes, INT64_MAX);
}

static void test_what_is_no_setting_changes_nothing(void **state)
{
	static const char *const texts[] = {"", "on", "AUTO", "auto ", "0", "1", "1048575", "0%",
		"100.1%", "101%", "0.05%", "-5%", "%", "80", "80 %", "80%%", "max",
		"9223372036854775808", "512MX"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct limit_setting setting = {.kind = LIMIT_SHARE, .permille = 7};

		assert_int_equal(limit_parse(texts[i], &setting), -EINVAL);
		assert_int_equal(setting.kind, LIMIT_SHARE);
		assert_int_equal(setting.permille, 7);
	}
}

/* Says what the constructor would, and catches it. */
static long complaint(char *text, char **environment, char *said, size_t size)
{
	int ends[2];
	int saved = dup(STDERR_FILENO);
	long length;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	environment[0] = text;
	limit_init(environment, wake);
	dup2(saved, STDERR_FILENO);
	length = read(ends[0], said, size - 1);
	said[length > 0 ? length : 0] = '\0';
	close(saved);
	close(ends[0]);
	close(ends[1]);
	return length;
}

static void test_a_bad_value_is_one_line_and_ignored(void **state)
{
	char bad[] = "SPILLWAY_LIMIT=lots";
	char good[] = "SPILLWAY_LIMIT=64M";
	char *environment[] = {NULL, NULL};
	char said[512];
	(void)state;
	assert_true(complaint(bad, environment, said, sizeof said) > 0);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_non_null(strstr(said, "spillway: bad SPILLWAY_LIMIT 'lots': expected auto, off,"));
	assert_non_null(strstr(said, "; using the default"));
	assert_int_equal(limit_setting()->kind, LIMIT_AUTO);
	assert_true(complaint(good, environment, said, sizeof said) < 0);
	assert_int_equal(limit_setting()->bytes, 64 << 20);
}

static void test_credit_is_not_given_twice(void **state)
{
	struct link_gate *gate = limit_gate();
	uint64_t seen;
	(void)state;
	assert_int_equal(atomic_load(&gate->credit_bytes), UINT64_MAX);
	limit_credit_set(100, UINT64_MAX);
	seen = atomic_load(&gate->credit_bytes);
	assert_int_equal(seen, 100);
	atomic_fetch_sub(&gate->credit_bytes, 30);
	limit_credit_set(50, seen);
	assert_int_equal(atomic_load(&gate->credit_bytes), 20);
	limit_credit_set(10, 60);
	assert_int_equal(atomic_load(&gate->credit_bytes), 0);
	limit_credit_set(UINT64_MAX, 60);
	assert_int_equal(atomic_load(&gate->credit_bytes), UINT64_MAX);
	limit_credit_set(5, UINT64_MAX);
	limit_lift();
	assert_int_equal(atomic_load(&gate->credit_bytes), UINT64_MAX);
}

static void test_a_mark_notifies_once(void **state)
{
	char *environment[] = {NULL};
	uint32_t before;
	(void)state;
	limit_init(environment, wake);
	limit_attend(NULL, 0);
	limit_want(false);
	wakes = 0;
	atomic_store(&limit_mark, 1000);
	limit_growth_note(999);
	assert_int_equal(wakes, 0);
	assert_false(limit_is_wanted());
	limit_growth_note(1000);
	limit_growth_note(1001);
	assert_int_equal(wakes, 1);
	assert_true(limit_is_wanted());
	limit_attend(&limit_gate()->notify, UINT32_MAX);
	limit_want(false);
	before = atomic_load(&limit_gate()->notify);
	atomic_store(&limit_mark, 2000);
	limit_growth_note(5000);
	limit_growth_note(6000);
	assert_int_equal(atomic_load(&limit_gate()->notify), before + 1);
	assert_int_equal(wakes, 1);
	assert_false(limit_is_wanted());
}

static void test_a_forked_child_begins_unlimited_and_wants_to_look(void **state)
{
	(void)state;
	limit_attend(&limit_gate()->notify, UINT32_MAX);
	limit_want(false);
	limit_level_set(HEAP_FULL);
	limit_credit_set(0, UINT64_MAX);
	atomic_store(&limit_slot()->wants_bytes, 77);
	limit_fork_child();
	assert_int_equal(limit_level(), HEAP_CALM);
	assert_int_equal(limit_price_permille(), LIMIT_PRICE_PERMILLE);
	assert_int_equal(atomic_load(&limit_gate()->credit_bytes), UINT64_MAX);
	assert_int_equal(atomic_load(&limit_slot()->wants_bytes), 0);
	assert_true(atomic_load(&limit_mark) == LIMIT_NO_MARK);
	assert_false(limit_is_attended());
	assert_true(limit_is_wanted());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_read_whole_or_refused),
		cmocka_unit_test(test_settings_are_read),
		cmocka_unit_test(test_what_is_no_setting_changes_nothing),
		cmocka_unit_test(test_a_bad_value_is_one_line_and_ignored),
		cmocka_unit_test(test_credit_is_not_given_twice),
		cmocka_unit_test(test_a_mark_notifies_once),
		cmocka_unit_test(test_a_forked_child_begins_unlimited_and_wants_to_look),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
