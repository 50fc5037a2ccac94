#include "supervisor/client/why_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/client/why_kernel.h"

#define MIB ((uint64_t)1 << 20)

/* Below its limit with nothing that stands out: no rule but "none" applies. */
static struct why_facts plain(void)
{
	return (struct why_facts){
		.end = WHY_KILLED,
		.limit_bytes = 400 * MIB,
		.usage_bytes = 200 * MIB,
		.heaps = 1,
		.same_name = 1,
		.live_bytes = 100 * MIB,
		.largest_live_bytes = 100 * MIB,
	};
}

static bool applies(const struct why_facts *facts, const char *rule)
{
	struct why_advice advice[WHY_RULES_MAX];
	size_t count = why_rules(facts, advice);

	for (size_t i = 0; i < count; i++) {
		assert_true(advice[i].text[0] != '\0');
		assert_true(strlen(advice[i].text) < WHY_ADVICE_BYTES - 1);
		if (strcmp(advice[i].rule, rule) == 0)
			return true;
	}
	return false;
}

static bool says(const struct why_facts *facts, const char *text)
{
	struct why_advice advice[WHY_RULES_MAX];

	assert_true(why_rules(facts, advice) > 0);
	return strstr(advice[0].text, text) != NULL;
}

static void test_nothing_stands_out(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	assert_true(applies(&facts, "none"));
	assert_true(says(&facts, "240M would have been room"));
}

static void test_each_rule_begins_where_it_should(void **state)
{
	static const struct {
		const char *rule;
		size_t member;
	} rows[] = {
		{"shared_memory", offsetof(struct why_facts, shared_bytes)},
		{"other_processes", offsetof(struct why_facts, stranger_bytes)},
		{"foreign_memory", offsetof(struct why_facts, foreign_bytes)},
		{"idle", offsetof(struct why_facts, idle_bytes)},
		{"idle", offsetof(struct why_facts, lazy_bytes)},
		{"file_cache", offsetof(struct why_facts, file_bytes)},
		{"kernel_memory", offsetof(struct why_facts, slab_bytes)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct why_facts facts = plain();
		uint64_t *bytes = (uint64_t *)(void *)((char *)&facts + rows[i].member);

		assert_false(applies(&facts, rows[i].rule));
		*bytes = 100 * MIB - 1;
		assert_false(applies(&facts, rows[i].rule));
		*bytes = 100 * MIB;
		assert_true(applies(&facts, rows[i].rule));
	}
}

static void test_no_preload(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	facts.heaps = 0;
	facts.live_bytes = 0;
	assert_true(applies(&facts, "no_preload"));
	facts.stranger_bytes = 300 * MIB;
	assert_false(applies(&facts, "other_processes"));
}

static void test_a_limit_that_was_cut(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	facts.limit_before_bytes = 420 * MIB;
	assert_false(applies(&facts, "limit_cut"));
	facts.limit_before_bytes = 800 * MIB;
	assert_true(applies(&facts, "limit_cut"));
	assert_true(says(&facts, "from 800M to 400M"));
}

static void test_copies_after_fork(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	facts.largest_live_bytes = 250 * MIB;
	assert_false(applies(&facts, "fork_copies"));
	facts.same_name = 2;
	assert_true(applies(&facts, "fork_copies"));
	facts.largest_live_bytes = 200 * MIB;
	assert_false(applies(&facts, "fork_copies"));
}

static void test_live_memory_needs_a_higher_limit(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	facts.usage_bytes = 400 * MIB;
	facts.live_bytes = 384 * MIB;
	assert_true(applies(&facts, "live"));
	/* 400 and an eighth, in steps of 16. */
	assert_true(says(&facts, "raise the limit to 464M"));
	assert_true(why_needed_bytes(&facts) == 464 * MIB);
	facts.limit_bytes = WHY_NO_LIMIT;
	assert_false(applies(&facts, "live"));
}

static void test_what_could_have_gone_is_not_needed(void **state)
{
	struct why_facts facts = plain();

	(void)state;
	facts.usage_bytes = 400 * MIB;
	facts.idle_bytes = 200 * MIB;
	facts.lazy_bytes = 30 * MIB;
	facts.file_bytes = 50 * MIB;
	facts.shared_bytes = 8 * MIB;
	assert_true(why_needed_bytes(&facts) == 144 * MIB);
	assert_true(says(&facts, "230M in the heaps were idle"));
}

static void test_any_numbers_are_taken(void **state)
{
	struct why_facts facts;
	struct why_advice advice[WHY_RULES_MAX];

	(void)state;
	memset(&facts, 0xff, sizeof facts);
	memset(facts.stranger, 'x', sizeof facts.stranger - 1);
	facts.stranger[sizeof facts.stranger - 1] = '\0';
	facts.limit_bytes = 1;
	assert_true(why_rules(&facts, advice) < WHY_RULES_MAX);
	memset(&facts, 0, sizeof facts);
	assert_int_equal(why_rules(&facts, advice), 1);
}

static void test_the_kernels_words(void **state)
{
	struct why_kill kill = {0};

	(void)state;
	assert_false(why_kernel_line(
		&kill, "6,700,5000000,-;memory: usage 98304kB, limit 98305kB, failcnt 431"));
	assert_false(why_kernel_line(&kill,
		"6,701,5000001,-;Memory cgroup stats for /box:\\x0aanon 1000\\x0afile 200\\x0a"
		"kernel 30\\x0ashmem 50\\x0afile_mapped 7"));
	assert_true(why_kernel_line(&kill,
		"6,702,5000002,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
		"mems_allowed=0,oom_memcg=/box,task_memcg=/box/a,task=a,pid=1,b,pid=123,uid=0"));
	assert_true(kill.at_us == 5000002);
	assert_string_equal(kill.oom_memcg, "/box");
	assert_string_equal(kill.task_memcg, "/box/a");
	assert_string_equal(kill.task, "a,pid=1,b");
	assert_int_equal(kill.pid, 123);
	assert_true(kill.usage_bytes == 96 * MIB && kill.limit_bytes == 96 * MIB + 1024);
	assert_true(kill.has_stat && kill.anon_bytes == 1000 && kill.file_bytes == 200);
	assert_true(kill.shared_bytes == 50 && kill.slab_bytes == 30);
}

static void test_a_record_for_each_line_of_the_statistics(void **state)
{
	static const char *const records[] = {
		"6,1,2,-;memory: usage 98304kB, limit 98305kB, failcnt 431",
		"6,2,2,-;Memory cgroup stats for /box:", "6,3,2,-;anon 1000", "6,4,2,-;file 200",
		"6,5,2,-;kernel 30", "6,6,2,-;kernel_stack 16", "6,7,2,-;shmem 50",
		"6,8,2,-;file_mapped 7", "6,9,2,-;slab 9"};
	struct why_kill kill = {0};

	(void)state;
	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
		assert_false(why_kernel_line(&kill, records[i]));
	assert_true(kill.has_stat && kill.anon_bytes == 1000 && kill.file_bytes == 200);
	assert_true(kill.shared_bytes == 50 && kill.slab_bytes == 30);
}

static void test_other_words_are_passed_over(void **state)
{
	static const char *const records[] = {"", "x", "6,1,2,-", "6,1,2,-;", ";;;", "6,1,2,-;anon",
		"6,1,2,-;memory: usage x", "6,1,2,-;Memory cgroup stats for ", "6;oom-kill:pid=1"};
	struct why_kill kill = {0};

	(void)state;
	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
		assert_false(why_kernel_line(&kill, records[i]));
	assert_true(why_kernel_line(&kill, "6,1,2,-;oom-kill:"));
	assert_string_equal(kill.task, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_stands_out),
		cmocka_unit_test(test_each_rule_begins_where_it_should),
		cmocka_unit_test(test_no_preload),
		cmocka_unit_test(test_a_limit_that_was_cut),
		cmocka_unit_test(test_copies_after_fork),
		cmocka_unit_test(test_live_memory_needs_a_higher_limit),
		cmocka_unit_test(test_what_could_have_gone_is_not_needed),
		cmocka_unit_test(test_any_numbers_are_taken),
		cmocka_unit_test(test_the_kernels_words),
		cmocka_unit_test(test_a_record_for_each_line_of_the_statistics),
		cmocka_unit_test(test_other_words_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
