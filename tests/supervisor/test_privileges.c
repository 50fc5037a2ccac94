/* What a child may still do, as the kernel says of a program that it has run. */
#include "supervisor/process/privileges.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/skip.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define NOBODY 65534U
#define BIT(capability) (UINT64_C(1) << (capability))
/* Those that every container has. */
#define FEW (BIT(CAP_CHOWN) | BIT(CAP_NET_BIND_SERVICE))

/* /proc/PID/status of the program. */
static char told[8192];

static uint64_t value_of(const char *name, const char *text, int base)
{
	size_t length = strlen(name);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return strtoull(line + length + 1, NULL, base);
	}
	fail_msg("no %s in status", name);
	return 0;
}

static uint64_t set_of(const char *name)
{
	return value_of(name, told, 16);
}

static uint64_t no_new_privs(void)
{
	return value_of("NoNewPrivs", told, 10);
}

/* Between fork and exec, as spawn has it. */
static int apply(const struct config_privileges *privileges, uid_t uid)
{
	int error = privileges_limit(privileges);
	if (error == 0 && uid != 0 && setresuid(uid, uid, uid) != 0)
		error = -errno;
	return error == 0 ? privileges_take(privileges) : error;
}

/* A child that may do only that runs a program as that user.  0, or what apply() has said. */
static int run(const struct config_privileges *privileges, uid_t uid)
{
	int ends[2];
	int status;
	size_t length = 0;
	ssize_t got;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int error = apply(privileges, uid);
		if (error != 0)
			_exit(-error);
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/cat", "cat", "/proc/self/status", NULL);
		_exit(ENOEXEC);
	}
	close(ends[1]);
	while ((got = read(ends[0], told + length, sizeof told - 1 - length)) > 0)
		length += (size_t)got;
	told[length] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

/* As root, who may give away and limit what the tests need. */
static void need(uint64_t capabilities)
{
	skip_unless_root();
	const struct config_privileges ours = {.no_new_privs = false};
	assert_int_equal(run(&ours, 0), 0);
	uint64_t wanted = capabilities | BIT(CAP_SETPCAP) | BIT(CAP_SETUID);
	if ((set_of("CapBnd") & set_of("CapEff") & wanted) != wanted)
		skip_because("needs CAP_SETPCAP, CAP_SETUID and what is given");
}

static void test_a_set_is_all_that_roots_program_has(void **state)
{
	static const uint64_t sets[] = {FEW, BIT(CAP_CHOWN), 0};
	(void)state;
	need(FEW);
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		const struct config_privileges wanted = {
			.has_capabilities = true, .capabilities = sets[i]};
		assert_int_equal(run(&wanted, 0), 0);
		assert_int_equal(set_of("CapBnd"), sets[i]);
		assert_int_equal(set_of("CapPrm"), sets[i]);
		assert_int_equal(set_of("CapEff"), sets[i]);
		/* It is root, who has what the bounding set leaves, by nothing else. */
		assert_int_equal(set_of("CapInh"), 0);
		assert_int_equal(set_of("CapAmb"), 0);
		assert_int_equal(no_new_privs(), 0);
	}
}

static void test_another_users_program_has_the_set_as_well(void **state)
{
	static const uint64_t sets[] = {FEW, 0};
	(void)state;
	need(FEW);
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		const struct config_privileges wanted = {
			.has_capabilities = true, .capabilities = sets[i]};
		assert_int_equal(run(&wanted, NOBODY), 0);
		assert_int_equal(value_of("Uid", told, 10), NOBODY);
		assert_int_equal(set_of("CapBnd"), sets[i]);
		assert_int_equal(set_of("CapPrm"), sets[i]);
		assert_int_equal(set_of("CapEff"), sets[i]);
		assert_int_equal(set_of("CapAmb"), sets[i]);
	}
}

static void test_unasked_nothing_changes(void **state)
{
	const struct config_privileges none = {.capabilities = BIT(CAP_CHOWN)};
	uint64_t before[2];
	(void)state;
	assert_int_equal(run(&none, 0), 0);
	before[0] = set_of("CapBnd");
	before[1] = set_of("CapPrm");
	FILE *stream = fopen("/proc/self/status", "re");
	assert_non_null(stream);
	told[fread(told, 1, sizeof told - 1, stream)] = '\0';
	fclose(stream);
	assert_int_equal(before[0], set_of("CapBnd"));
	assert_int_equal(before[1], set_of("CapPrm"));
}

/* This takes no privilege. */
static void test_no_new_privs_is_set_when_it_is_wanted(void **state)
{
	const struct config_privileges wanted = {.no_new_privs = true};
	(void)state;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		skip_because("it is set for all that runs here");
	assert_int_equal(run(&wanted, 0), 0);
	assert_int_equal(no_new_privs(), 1);
	assert_int_equal(run(&(struct config_privileges){.no_new_privs = false}, 0), 0);
	assert_int_equal(no_new_privs(), 0);
}

/* With a set too, as another user, who could not have it by another way than the ambient set. */
static void test_both_together(void **state)
{
	const struct config_privileges wanted = {
		.no_new_privs = true, .has_capabilities = true, .capabilities = FEW};
	(void)state;
	need(FEW);
	assert_int_equal(run(&wanted, NOBODY), 0);
	assert_int_equal(no_new_privs(), 1);
	assert_int_equal(set_of("CapEff"), FEW);
}

/* In a child whose bounding set lacks CAP_CHOWN. */
static void test_what_is_not_ours_is_refused(void **state)
{
	const struct config_privileges wanted = {.has_capabilities = true, .capabilities = FEW};
	const struct config_privileges unknown = {
		.has_capabilities = true, .capabilities = BIT(63)};
	int status;
	(void)state;
	need(FEW);
	assert_int_equal(run(&unknown, 0), -EINVAL);
	pid_t pid = fork();
	if (pid == 0) {
		if (prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0) != 0)
			_exit(1);
		_exit(privileges_limit(&wanted) == -EPERM ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A supervisor without CAP_SETPCAP. */
static void test_who_may_not_limit_does_not_run_without(void **state)
{
	const struct config_privileges wanted = {.has_capabilities = true, .capabilities = 0};
	int status;
	(void)state;
	skip_unless_root();
	pid_t pid = fork();
	if (pid == 0) {
		if (setresuid(NOBODY, NOBODY, NOBODY) != 0)
			_exit(1);
		_exit(privileges_limit(&wanted) == -EPERM ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_set_is_all_that_roots_program_has),
		cmocka_unit_test(test_another_users_program_has_the_set_as_well),
		cmocka_unit_test(test_unasked_nothing_changes),
		cmocka_unit_test(test_no_new_privs_is_set_when_it_is_wanted),
		cmocka_unit_test(test_both_together),
		cmocka_unit_test(test_what_is_not_ours_is_refused),
		cmocka_unit_test(test_who_may_not_limit_does_not_run_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
