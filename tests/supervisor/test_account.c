#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/process/account.h"
#include "tests/support/skip.h"

static struct account account;

static int resolve(const char *text)
{
	account_free(&account);
	return account_resolve(text, &account);
}

static void test_a_name_has_its_user_groups_and_home(void **state)
{
	(void)state;
	const struct passwd *root = getpwnam("root");
	if (root == NULL) {
		skip_because("there is no user root");
		return;
	}
	assert_int_equal(resolve("root"), 0);
	assert_int_equal(account.uid, 0);
	assert_int_equal(account.gid, root->pw_gid);
	assert_string_equal(account.name, "root");
	assert_string_equal(account.home, root->pw_dir);
	assert_string_equal(account.shell, root->pw_shell);
	assert_true(account.group_count >= 1);
	assert_int_equal(account.groups[0], root->pw_gid);
}

static void test_a_number_with_an_entry_is_that_user(void **state)
{
	(void)state;
	if (getpwuid(0) == NULL)
		skip_because("user 0 has no entry");
	assert_int_equal(resolve("0"), 0);
	assert_string_equal(account.name, "root");
	assert_int_equal(resolve("0:77"), 0);
	assert_int_equal(account.uid, 0);
	assert_int_equal(account.gid, 77);
}

static void test_a_number_without_one_does_as_well(void **state)
{
	(void)state;
	assert_int_equal(resolve("1000620123"), 0);
	assert_int_equal(account.uid, 1000620123);
	assert_int_equal(account.gid, 1000620123);
	assert_int_equal(account.group_count, 1);
	assert_int_equal(account.groups[0], 1000620123);
	assert_string_equal(account.name, "");
	assert_int_equal(resolve("1000620123:0"), 0);
	assert_int_equal(account.gid, 0);
	assert_int_equal(account.groups[0], 0);
}

static void test_what_is_nobody_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"12x", "12:", "12:x", "12:3:4", "4294967295",
		"4294967296", "1:4294967295", "99999999999999999999"};
	account.uid = 4711;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(resolve(bad[i]), -EINVAL);
	assert_int_equal(resolve("no-such-user-here"), -ENOENT);
	assert_int_equal(account.uid, 4711);
}

/* What the child finds after it has become somebody, as an exit status. */
static int become_and_look(const struct account *whom)
{
	gid_t groups[4];
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		if (account_become(whom) != 0)
			_exit(1);
		if (getuid() != whom->uid || geteuid() != whom->uid || getgid() != whom->gid)
			_exit(2);
		if (getgroups(4, groups) != 1 || groups[0] != whom->gid)
			_exit(3);
		/* glibc's would ask threads that a sanitizer has added. */
		_exit(syscall(SYS_setresuid, 0, 0, 0) == 0 ? 4 : 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void test_a_child_becomes_it_for_good(void **state)
{
	(void)state;
	skip_unless_root();
	assert_int_equal(resolve("54321:54322"), 0);
	assert_int_equal(become_and_look(&account), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_has_its_user_groups_and_home),
		cmocka_unit_test(test_a_number_with_an_entry_is_that_user),
		cmocka_unit_test(test_a_number_without_one_does_as_well),
		cmocka_unit_test(test_what_is_nobody_is_refused),
		cmocka_unit_test(test_a_child_becomes_it_for_good),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	account_free(&account);
	return failed;
}
