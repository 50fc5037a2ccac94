#include "supervisor/client/share_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/protocol.h"

static char directory[] = "/tmp/spillway-share.XXXXXX";
static int directory_fd;

static int make(void **state)
{
	(void)state;
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory_fd < 0 ? -1 : 0;
}

static int clean(void **state)
{
	(void)state;
	unlinkat(directory_fd, "page", 0);
	unlinkat(directory_fd, "other", 0);
	unlinkat(directory_fd, "below", AT_REMOVEDIR);
	unlinkat(directory_fd, "link", 0);
	close(directory_fd);
	return rmdir(directory);
}

static void put(const char *name, const void *bytes, size_t length)
{
	int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

static union {
	struct share_page page;
	char bytes[SHARE_PAGE_BYTES];
} made;

static void fill(void)
{
	memset(&made, 0, sizeof made);
	made.page.magic = SHARE_MAGIC;
	made.page.version = SHARE_VERSION;
	made.page.pid = 7;
	made.page.start_ticks = 99;
	made.page.in_use_bytes = 100;
	made.page.free_slots_bytes = 30;
	made.page.idle_dirty_bytes = 5;
	made.page.limit_bytes = UINT64_MAX;
	memcpy(made.page.command, "redis-server", 12);
}

static int read_it(struct share_figures *figures)
{
	put("page", made.bytes, sizeof made);
	return share_file_read(directory_fd, "page", figures);
}

static void test_a_page_is_read(void **state)
{
	struct share_figures figures;

	(void)state;
	fill();
	assert_int_equal(read_it(&figures), 0);
	assert_int_equal(figures.pid, 7);
	assert_string_equal(figures.command, "redis-server");
	assert_int_equal(share_live_bytes(&figures), 70);
	assert_int_equal(share_idle_bytes(&figures), 35);
	assert_true(figures.limit_bytes == UINT64_MAX);
	assert_int_equal(figures.sample_count, 0);
}

static void test_samples_are_in_the_order_of_time(void **state)
{
	struct share_figures figures;

	(void)state;
	fill();
	made.page.sample_count = SHARE_SAMPLES + 3;
	for (uint64_t i = 0; i < SHARE_SAMPLES + 3; i++)
		made.page.sample[i % SHARE_SAMPLES].at_ms = 1000 + i;
	assert_int_equal(read_it(&figures), 0);
	assert_int_equal(figures.sample_count, SHARE_SAMPLES);
	for (size_t i = 0; i < SHARE_SAMPLES; i++)
		assert_int_equal(figures.sample[i].at_ms, 1003 + i);
}

static void test_what_a_stranger_writes_is_bounded(void **state)
{
	struct share_figures figures;

	(void)state;
	fill();
	memset(made.page.command, 'x', sizeof made.page.command);
	memset(made.page.cgroup, '\033', sizeof made.page.cgroup);
	made.page.level = 77;
	made.page.sample_count = UINT32_MAX;
	made.page.sequence = 1;
	made.page.free_slots_bytes = UINT64_MAX;
	made.page.released_full_bytes = UINT64_MAX;
	made.page.released_lazy_bytes = UINT64_MAX;
	assert_int_equal(read_it(&figures), 0);
	assert_int_equal(strlen(figures.command), SHARE_COMMAND_BYTES);
	assert_int_equal(strspn(figures.cgroup, "?"), SHARE_CGROUP_BYTES);
	assert_int_equal(figures.level, LINK_CALM);
	assert_int_equal(figures.sample_count, 0);
	assert_int_equal(share_live_bytes(&figures), 0);
	assert_true(share_idle_bytes(&figures) == UINT64_MAX);
	assert_true(share_released_bytes(&figures) == UINT64_MAX);
}

static void test_what_is_no_page_is_refused(void **state)
{
	struct share_figures figures;

	(void)state;
	fill();
	put("page", made.bytes, sizeof made - 1);
	assert_true(share_file_read(directory_fd, "page", &figures) < 0);
	made.page.version = SHARE_VERSION + 1;
	assert_true(read_it(&figures) < 0);
	made.page.version = SHARE_VERSION;
	made.page.magic = 1;
	assert_true(read_it(&figures) < 0);
	assert_true(share_file_read(directory_fd, "missing", &figures) < 0);
	assert_int_equal(mkfifoat(directory_fd, "other", 0600), 0);
	assert_true(share_file_read(directory_fd, "other", &figures) < 0);
}

static void test_no_link_is_followed(void **state)
{
	struct share_figures figures;

	(void)state;
	fill();
	assert_int_equal(read_it(&figures), 0);
	assert_int_equal(symlinkat("page", directory_fd, "other"), 0);
	assert_true(share_file_read(directory_fd, "other", &figures) < 0);
	assert_int_equal(mkdirat(directory_fd, "below", 0700), 0);
	assert_int_equal(symlinkat("below", directory_fd, "link"), 0);
	int fd = share_directory_open(directory_fd, "/below/");
	assert_true(fd >= 0);
	close(fd);
	assert_true(share_directory_open(directory_fd, "/link") < 0);
	assert_true(share_directory_open(directory_fd, "/below/../below") < 0);
	assert_true(share_directory_open(directory_fd, "/missing") < 0);
	assert_int_equal(share_path_read(directory_fd, "/page", &figures), 0);
	assert_true(share_path_read(directory_fd, "/link/page", &figures) < 0);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"spillway.", "spillway.1.2", "spillway.1.2.3.4",
		"spillway.1.2.x", "spillway.1..3", "spillway.1.0.3", "spillway.1.4294967296.3",
		"spillway.1.2.99999999999999999999", "spillway.-1.2.3", "Spillway.1.2.3",
		"spillway.1.2.3 (deleted)"};
	struct share_name name;

	(void)state;
	assert_true(share_name_parse("spillway.4026531836.12.345", &name));
	assert_int_equal(name.pid_namespace, 4026531836);
	assert_int_equal(name.pid, 12);
	assert_int_equal(name.start_ticks, 345);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(share_name_parse(bad[i], &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_page_is_read, make, clean),
		cmocka_unit_test_setup_teardown(test_samples_are_in_the_order_of_time, make, clean),
		cmocka_unit_test_setup_teardown(
			test_what_a_stranger_writes_is_bounded, make, clean),
		cmocka_unit_test_setup_teardown(test_what_is_no_page_is_refused, make, clean),
		cmocka_unit_test_setup_teardown(test_no_link_is_followed, make, clean),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
