/* Signals as the kernel gives them: read, told apart, and handed back to a child. */

#include "supervisor/process/signals.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/patience.h"

/* glibc's own two. */
#define HIDDEN_FIRST 32
#define HIDDEN_LAST 33

static struct signals signals;

static int setup(void **state)
{
	(void)state;
	return signals_open(&signals);
}

static int teardown(void **state)
{
	(void)state;
	signals_close(&signals);
	return 0;
}

/* In a process of its own: what it returns is its exit status; -SIGNAL where one ended it. */
static int in_a_child(int (*run)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static struct signals_event next(void)
{
	struct signals_event event = {0};
	assert_true(WAIT_UNTIL(30, signals_read(&signals, &event) == 1));
	return event;
}

static bool nothing_is_left(void)
{
	struct signals_event event;
	return signals_read(&signals, &event) == 0;
}

static void test_every_signal_that_can_be_blocked_comes_out(void **state)
{
	(void)state;
	for (int number = 1; number <= SIGRTMAX; number++) {
		bool hidden = number >= HIDDEN_FIRST && number <= HIDDEN_LAST;
		if (number == SIGKILL || number == SIGSTOP || hidden)
			continue;
		assert_int_equal(kill(getpid(), number), 0);
		struct signals_event event = next();
		assert_int_equal(event.number, number);
		assert_int_equal(event.sender, getpid());
		assert_true(event.from_us);
	}
	assert_true(nothing_is_left());
}

static int signal_the_parent(void)
{
	return kill(getppid(), SIGUSR2);
}

static void test_what_a_child_sends_is_not_from_us(void **state)
{
	(void)state;
	pid_t parent = getpid();
	assert_int_equal(in_a_child(signal_the_parent), 0);
	bool usr2 = false;
	bool chld = false;
	while (!usr2 || !chld) {
		struct signals_event event = next();
		assert_false(event.from_us);
		assert_int_not_equal(event.sender, parent);
		assert_true(event.number == SIGUSR2 || event.number == SIGCHLD);
		usr2 = usr2 || event.number == SIGUSR2;
		chld = chld || event.number == SIGCHLD;
	}
	assert_true(nothing_is_left());
}

static void test_a_signal_that_is_pending_is_not_queued_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(getpid(), SIGUSR1), 0);
		assert_int_equal(
			sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i}), 0);
	}
	assert_int_equal(next().number, SIGUSR1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(next().number, SIGRTMIN + 2);
	assert_true(nothing_is_left());
}

static int fault(void)
{
	volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 1;
	return 0;
}

static int abort_ourselves(void)
{
	/* As abort() does, without what a sanitizer makes of it. */
	kill(getpid(), SIGABRT);
	return nothing_is_left() ? 1 : 0;
}

static void test_a_fault_of_our_own_still_kills(void **state)
{
	(void)state;
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
	assert_int_equal(in_a_child(fault), -SIGSEGV);
#else
	(void)fault;
#endif
	/* One that was only sent is read like any other. */
	assert_int_equal(in_a_child(abort_ourselves), 0);
}

static uint64_t kernel_mask(void)
{
	uint64_t mask = 0;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
	return mask;
}

struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

static void set_ignored(int number)
{
	const struct kernel_action ignore = {.handler = (uintptr_t)SIG_IGN};
	syscall(SYS_rt_sigaction, number, &ignore, NULL, sizeof ignore.mask);
}

static void set_default(int number)
{
	const struct kernel_action normal = {.handler = (uintptr_t)SIG_DFL};
	syscall(SYS_rt_sigaction, number, &normal, NULL, sizeof normal.mask);
}

static void set_caught(int number)
{
	/* Never called: the number is glibc's and stays blocked where it matters. */
	const struct kernel_action caught = {.handler = (uintptr_t)&nothing_is_left};
	syscall(SYS_rt_sigaction, number, &caught, NULL, sizeof caught.mask);
}

static bool is_ignored(int number)
{
	struct kernel_action action = {0};
	syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask);
	return action.handler == (uintptr_t)SIG_IGN;
}

static int exit_at_once(void)
{
	return 3;
}

/* Started with SIGCHLD ignored, as by a careless parent: the kernel would reap our children. */
static int open_under_ignored_children(void)
{
	struct signals own;
	set_ignored(SIGCHLD);
	if (signals_open(&own) != 0 || is_ignored(SIGCHLD))
		return 1;
	if (in_a_child(exit_at_once) != 3)
		return 2;
	signals_restore(&own);
	return is_ignored(SIGCHLD) ? 0 : 3;
}

static int open_under_a_mask(void)
{
	struct signals own;
	const uint64_t some = UINT64_C(1) << (SIGUSR1 - 1) | UINT64_C(1) << (HIDDEN_LAST - 1);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &some, NULL, sizeof some);
	/* A process that posix_spawn made, such as one of make's, has both ignored. */
	set_ignored(HIDDEN_FIRST);
	set_default(HIDDEN_LAST);
	if (signals_open(&own) != 0)
		return 1;
	/* As glibc does with the first thread that needs it. */
	set_caught(HIDDEN_FIRST);
	if (kernel_mask() == some)
		return 2;
	signals_restore(&own);
	if (kernel_mask() != some)
		return 3;
	return is_ignored(HIDDEN_FIRST) && !is_ignored(HIDDEN_LAST) ? 0 : 4;
}

static void test_a_child_gets_back_what_we_inherited(void **state)
{
	(void)state;
	signals_close(&signals);
	assert_int_equal(in_a_child(open_under_ignored_children), 0);
	assert_int_equal(in_a_child(open_under_a_mask), 0);
	assert_int_equal(signals_open(&signals), 0);
}

static int open_without_descriptors(void)
{
	struct signals own = {.fd = 77};
	const struct rlimit none = {0, 0};
	uint64_t before = kernel_mask();
	set_ignored(SIGCHLD);
	if (setrlimit(RLIMIT_NOFILE, &none) != 0)
		return 1;
	if (signals_open(&own) != -EMFILE || own.fd != 77)
		return 2;
	return kernel_mask() == before && is_ignored(SIGCHLD) ? 0 : 3;
}

static void test_an_open_that_fails_changes_nothing(void **state)
{
	(void)state;
	signals_close(&signals);
	assert_int_equal(in_a_child(open_without_descriptors), 0);
	assert_int_equal(signals_open(&signals), 0);
}

static int be_told_to_end_while_closing(void)
{
	struct signals own;
	if (signals_open(&own) != 0)
		return 1;
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGHUP);
	signals_close(&own);
	return 7;
}

/* A second TERM that comes while the supervisor ends must not replace its exit status. */
static void test_what_is_pending_at_the_end_does_not_kill(void **state)
{
	(void)state;
	signals_close(&signals);
	assert_int_equal(in_a_child(be_told_to_end_while_closing), 7);
	assert_int_equal(signals_open(&signals), 0);
}

static void test_names(void **state)
{
	static const struct {
		int number;
		const char *name;
	} rows[] = {{SIGTERM, "TERM"}, {SIGHUP, "HUP"}, {HIDDEN_FIRST, "32"}, {0, "0"}, {-1, "-1"},
		{65, "65"}, {1 << 30, "1073741824"}};
	char text[SIGNALS_NAME_BYTES];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(signals_name(rows[i].number, text), rows[i].name);
	assert_string_equal(signals_name(SIGRTMIN, text), "RTMIN+0");
	assert_string_equal(signals_name(SIGRTMAX, text), "RTMIN+30");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_signal_that_can_be_blocked_comes_out),
		TEST(test_what_a_child_sends_is_not_from_us),
		TEST(test_a_signal_that_is_pending_is_not_queued_again),
		TEST(test_a_fault_of_our_own_still_kills),
		TEST(test_a_child_gets_back_what_we_inherited),
		TEST(test_an_open_that_fails_changes_nothing),
		TEST(test_what_is_pending_at_the_end_does_not_kill),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
