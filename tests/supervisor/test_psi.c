#include "supervisor/cgroup/psi.h"
#include "tests/support/skip.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static void test_triggers_are_a_share_of_an_allowed_window(void **state)
{
	static const struct {
		struct config_psi pressure;
		uint32_t window_ms;
		const char *text;
	} rows[] = {
		{{CONFIG_PSI_SOME, 50, 1000}, 500, "some 50000 1000000"},
		{{CONFIG_PSI_FULL, 100, 1500}, 500, "full 150000 1500000"},
		{{CONFIG_PSI_SOME, 100, 100}, 500, "some 50000 500000"},
		{{CONFIG_PSI_SOME, 50, 1000}, 2000, "some 100000 2000000"},
		{{CONFIG_PSI_SOME, 50, 3000}, 2000, "some 200000 4000000"},
		{{CONFIG_PSI_SOME, 50, 60000}, 2000, "some 500000 10000000"},
		{{CONFIG_PSI_SOME, 2000, 1000}, 500, "some 1000000 1000000"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[64];
		int length =
			psi_trigger_text(text, sizeof text, &rows[i].pressure, rows[i].window_ms);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(length, strlen(rows[i].text));
	}
}

/* Everybody may set triggers of 2 s on the machine's file, since Linux 6.4.  This one is for a
 * machine that does nothing else than wait for memory. */
static void test_the_kernel_takes_our_trigger(void **state)
{
	const struct config_psi pressure = {CONFIG_PSI_SOME, 1000, 2000};
	struct psi_watch watch = PSI_WATCH_NONE;
	(void)state;
	int error = psi_open_trigger(&watch, AT_FDCWD, "/proc/pressure/memory", &pressure, 2000);
	if (error != 0)
		skip_because("the kernel does not take our trigger");
	struct pollfd outer = {.fd = watch.epoll_fd, .events = POLLIN};
	assert_int_equal(poll(&outer, 1, 0), 0);
	assert_true(psi_trigger_alive(&watch));
	psi_close(&watch);
	assert_int_equal(watch.epoll_fd, -1);
	assert_int_equal(watch.file_fd, -1);
	psi_close(&watch);
}

static void test_a_refused_trigger_leaves_nothing_open(void **state)
{
	const struct config_psi never = {CONFIG_PSI_SOME, 0, 2000};
	struct psi_watch watch = PSI_WATCH_NONE;
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "memory.pressure", "");
	assert_int_equal(psi_open_trigger(&watch, tree.fd, "nothing", &never, 2000), -ENOENT);
	/* A plain file takes the text and cannot be waited for. */
	assert_int_equal(
		psi_open_trigger(&watch, tree.fd, "memory.pressure", &never, 2000), -EPERM);
	assert_int_equal(watch.file_fd, -1);
	int error = psi_open_trigger(&watch, AT_FDCWD, "/proc/pressure/memory", &never, 2000);
	assert_true(error == -EINVAL || error == -ENOENT || error == -EOPNOTSUPP);
	assert_int_equal(watch.epoll_fd, -1);
	fake_tree_close(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_triggers_are_a_share_of_an_allowed_window),
		cmocka_unit_test(test_the_kernel_takes_our_trigger),
		cmocka_unit_test(test_a_refused_trigger_leaves_nothing_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
