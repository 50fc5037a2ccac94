#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

enum { MANY_GROUPS = 700, FIRST_GROUP = 70000 };

/* A file in the place of another, for this process only.  false: it cannot be put there. */
static bool put_in_place(const char *path, const char *other)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(path, other, NULL, MS_BIND, NULL) == 0;
}

/* For /etc/group. */
static bool replace_groups(const char *path, const char *member)
{
	FILE *file = fopen(path, "w");
	if (file == NULL)
		return false;
	for (int i = 0; i < MANY_GROUPS; i++)
		fprintf(file, "many%d:x:%d:%s\n", i, FIRST_GROUP + i, member);
	return fclose(file) == 0 && put_in_place(path, "/etc/group");
}

enum { ALL_KEPT, NOT_RESOLVED, NOT_FOUND, NOT_BECOME, NOT_KEPT, NO_PLACE };

/* In a child: which of these it is. */
static int keep_many_groups(const char *path, const char *name)
{
	static gid_t groups[MANY_GROUPS + 2];
	if (!replace_groups(path, name))
		return NO_PLACE;
	if (resolve(name) != 0)
		return NOT_RESOLVED;
	if (account.group_count != MANY_GROUPS + 1)
		return NOT_FOUND;
	if (account_become(&account) != 0)
		return NOT_BECOME;
	int count = getgroups(MANY_GROUPS + 2, groups);
	return count == MANY_GROUPS + 1 ? ALL_KEPT : NOT_KEPT;
}

static void test_no_group_of_hundreds_is_dropped(void **state)
{
	char path[] = "/tmp/spillway-groups-XXXXXX";
	int status = -1;
	(void)state;
	skip_unless_root();
	if (getpwnam("nobody") == NULL)
		skip_because("there is no user nobody");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	pid_t pid = fork();
	if (pid == 0)
		_exit(keep_many_groups(path, "nobody"));
	waitpid(pid, &status, 0);
	unlink(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_PLACE)
		skip_because("nothing can be mounted here");
	assert_int_equal(WEXITSTATUS(status), ALL_KEPT);
}

static void write_text(const char *folder, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fchmod(fileno(file), 0755);
	fclose(file);
}

/* In a child: which of these it is. */
static int ask_another_source(const char *folder)
{
	char path[256];
	snprintf(path, sizeof path, "%s/nsswitch.conf", folder);
	if (!put_in_place(path, "/etc/nsswitch.conf"))
		return NO_PLACE;
	setenv("PATH", folder, 1);
	if (resolve("elsewhere") != 0 || resolve("no-such-user-here") != -ENOENT)
		return NOT_RESOLVED;
	if (resolve("elsewhere") != 0 || account.uid != 4711 || account.gid != 4712 ||
		strcmp(account.home, "/h") != 0)
		return NOT_FOUND;
	if (account.group_count != 3 || account.groups[0] != 4712 || account.groups[2] != 4714)
		return NOT_KEPT;
	return resolve("4711") == 0 && strcmp(account.name, "elsewhere") == 0 ? ALL_KEPT
									      : NOT_FOUND;
}

static void test_other_sources_are_asked_by_getent(void **state)
{
	char folder[] = "/tmp/spillway-account-XXXXXX";
	char command[64];
	int status = -1;
	(void)state;
	skip_unless_root();
	if (access("/etc/nsswitch.conf", F_OK) != 0)
		skip_because("there is no /etc/nsswitch.conf");
	assert_non_null(mkdtemp(folder));
	write_text(folder, "nsswitch.conf", "passwd: files [!UNAVAIL=return] ldap\ngroup:\tldap\n");
	write_text(folder, "getent",
		"#!/bin/sh\n"
		"case $1:$2 in\n"
		"passwd:elsewhere | passwd:4711) echo elsewhere:x:4711:4712::/h:/bin/sh ;;\n"
		"initgroups:elsewhere) echo 'elsewhere             4712 4713 4714' ;;\n"
		"*) exit 2 ;;\n"
		"esac\n");
	pid_t pid = fork();
	if (pid == 0)
		_exit(ask_another_source(folder));
	waitpid(pid, &status, 0);
	snprintf(command, sizeof command, "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_PLACE)
		skip_because("nothing can be mounted here");
	assert_int_equal(WEXITSTATUS(status), ALL_KEPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_has_its_user_groups_and_home),
		cmocka_unit_test(test_a_number_with_an_entry_is_that_user),
		cmocka_unit_test(test_a_number_without_one_does_as_well),
		cmocka_unit_test(test_what_is_nobody_is_refused),
		cmocka_unit_test(test_a_child_becomes_it_for_good),
		cmocka_unit_test(test_no_group_of_hundreds_is_dropped),
		cmocka_unit_test(test_other_sources_are_asked_by_getent),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	account_free(&account);
	return failed;
}
