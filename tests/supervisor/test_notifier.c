#include "supervisor/link/notifier.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/patience.h"
#include "tests/support/skip.h"

static void ring(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool is_notified(const struct notifier *notifier, int wait_ms)
{
	struct pollfd ready = {.fd = notifier_fd(notifier), .events = POLLIN};
	return poll(&ready, 1, wait_ms) == 1;
}

static bool will_ring(const struct notifier *notifier)
{
	return WAIT_UNTIL(10, is_notified(notifier, 10));
}

static struct notifier *open_one(struct notifier_threads *threads, _Atomic uint32_t *word)
{
	struct notifier *notifier = NULL;
	assert_int_equal(notifier_open(threads, word, &notifier), 0);
	assert_int_equal(notifier_settle(threads), 0);
	return notifier;
}

static unsigned count_threads(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/task");
	assert_non_null(directory);
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static int setup(void **state)
{
	struct notifier_threads *threads;
	assert_int_equal(notifier_threads_open(&threads), 0);
	*state = threads;
	return 0;
}

static int teardown(void **state)
{
	notifier_threads_close(*state);
	notifier_threads_close(NULL);
	return 0;
}

static void test_every_ring_is_heard_and_silence_is_silent(void **state)
{
	_Atomic uint32_t word = 41;
	struct notifier *notifier = open_one(*state, &word);
	assert_false(is_notified(notifier, 0));
	for (unsigned i = 0; i < 50; i++) {
		ring(&word);
		assert_true(will_ring(notifier));
		notifier_drain(notifier);
	}
	notifier_drain(notifier);
	notifier_close(notifier);
}

static void test_many_notifications_may_be_one(void **state)
{
	_Atomic uint32_t word = UINT32_MAX - 5;
	struct notifier *notifier = open_one(*state, &word);
	for (unsigned i = 0; i < 1000; i++)
		ring(&word);
	assert_true(will_ring(notifier));
	notifier_close(notifier);
}

static void test_closing_works_at_any_moment(void **state)
{
	_Atomic uint32_t word = 0;
	for (unsigned i = 0; i < 200; i++) {
		struct notifier *notifier = open_one(*state, &word);
		if (i % 2 == 0)
			ring(&word);
		notifier_close(notifier);
	}
	notifier_close(NULL);
}

/* What was rung before it was waited for is heard as well. */
static void test_each_word_has_its_own_descriptor(void **state)
{
	enum { COUNT = 2 * NOTIFIER_WORDS + 3 };
	static _Atomic uint32_t word[COUNT];
	static struct notifier *notifier[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(notifier_open(*state, &word[i], &notifier[i]), 0);
	ring(&word[7]);
	assert_int_equal(notifier_settle(*state), 0);
	assert_true(will_ring(notifier[7]));
	for (size_t i = 0; i < COUNT; i += 50)
		ring(&word[i]);
	for (size_t i = 0; i < COUNT; i += 50)
		assert_true(will_ring(notifier[i]));
	assert_false(is_notified(notifier[1], 0));
	/* Those that stay are heard after others have gone. */
	for (size_t i = 0; i < COUNT; i += 2)
		notifier_close(notifier[i]);
	ring(&word[COUNT - 2]);
	assert_true(will_ring(notifier[COUNT - 2]));
	for (size_t i = 1; i < COUNT; i += 2)
		notifier_close(notifier[i]);
}

static void test_many_words_share_a_thread(void **state)
{
	static _Atomic uint32_t word[NOTIFIER_WORDS];
	static struct notifier *notifier[NOTIFIER_WORDS];
	unsigned before = count_threads();
	if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) == 0 || errno != EINVAL)
		skip_because("the kernel has no futex_waitv");
	for (size_t i = 0; i < NOTIFIER_WORDS; i++)
		notifier[i] = open_one(*state, &word[i]);
	assert_int_equal(count_threads(), before + 1);
	for (size_t i = 0; i < NOTIFIER_WORDS; i++)
		notifier_close(notifier[i]);
}

/* The link is unmapped right after. */
static void test_a_word_may_be_unmapped_once_it_is_closed(void **state)
{
	_Atomic uint32_t other = 0;
	struct notifier *stays = open_one(*state, &other);
	for (unsigned i = 0; i < 100; i++) {
		_Atomic uint32_t *word =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(word, MAP_FAILED);
		struct notifier *notifier = open_one(*state, word);
		if (i % 2 == 0)
			ring(word);
		notifier_close(notifier);
		munmap((void *)word, 4096);
	}
	ring(&other);
	assert_true(will_ring(stays));
	notifier_close(stays);
}

/* As a kernel before 5.16, or a container's filter that is older. */
static void refuse_futex_waitv(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Comes last: the filter stays. */
static void test_each_word_has_a_thread_where_the_kernel_lacks_it(void **state)
{
	static void (*const same[])(void **state) = {
		test_every_ring_is_heard_and_silence_is_silent,
		test_many_notifications_may_be_one,
		test_closing_works_at_any_moment,
		test_each_word_has_its_own_descriptor,
		test_a_word_may_be_unmapped_once_it_is_closed,
	};
	unsigned before = count_threads();
	_Atomic uint32_t word[2] = {0};
	refuse_futex_waitv();
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		same[i](state);
	notifier_threads_close(*state);
	setup(state);
	struct notifier *one = open_one(*state, &word[0]);
	struct notifier *other = open_one(*state, &word[1]);
	assert_int_equal(count_threads(), before + 2);
	notifier_close(one);
	notifier_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_ring_is_heard_and_silence_is_silent),
		TEST(test_many_notifications_may_be_one),
		TEST(test_closing_works_at_any_moment),
		TEST(test_each_word_has_its_own_descriptor),
		TEST(test_many_words_share_a_thread),
		TEST(test_a_word_may_be_unmapped_once_it_is_closed),
		TEST(test_each_word_has_a_thread_where_the_kernel_lacks_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
