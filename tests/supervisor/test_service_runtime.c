/* When the JVMs of a service are asked to give memory back, and for what. */
#include "supervisor/fleet/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/fake_tick.h"
#include "tests/support/said.h"

int __wrap_jvm_worker_start(struct jvm_worker **made, const struct jvm_work *work);
bool __wrap_jvm_worker_take(struct jvm_worker *asked, struct jvm_done *done);
void __wrap_jvm_worker_close(struct jvm_worker *asked);

/* The thread, of which there is none. */
static struct {
	unsigned starts;
	struct jvm_work work; /* as last asked */
	bool over;
	struct jvm_done done;
	unsigned closed;
} worker;

int __wrap_jvm_worker_start(struct jvm_worker **made, const struct jvm_work *work)
{
	worker.starts++;
	worker.work = *work;
	worker.over = false;
	*made = (struct jvm_worker *)&worker;
	return 0;
}

bool __wrap_jvm_worker_take(struct jvm_worker *asked, struct jvm_done *done)
{
	assert_ptr_equal(asked, &worker);
	*done = worker.done;
	return worker.over;
}

void __wrap_jvm_worker_close(struct jvm_worker *asked)
{
	worker.closed += asked != NULL;
}

static struct service_runtime *start(bool heap)
{
	memset(&worker, 0, sizeof worker);
	life.service.config->runtime = CONFIG_RUNTIME_JAVA;
	life_start();
	life.service.runtime.has_heap = heap;
	return &life.service.runtime;
}

static void reach(enum level level)
{
	life.service.memory.policy.state.pressure.level = level;
	service_runtime_step(&life.service, &life.host, life.now_ms);
}

static void end_with(struct jvm_done done)
{
	worker.over = true;
	worker.done = done;
	service_runtime_step(&life.service, &life.host, life.now_ms);
	worker.over = false;
}

static void test_at_full_the_garbage_is_collected(void **state)
{
	const struct service_runtime *runtime = start(true);
	(void)state;
	reach(LEVEL_EAGER);
	assert_int_equal(worker.starts, 0);
	assert_true(service_runtime_deadline_ms(runtime) == SERVICE_RUNTIME_NEVER);
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 1);
	assert_string_equal(worker.work.command[0], "GC.run");
	assert_int_equal(worker.work.times[0], SERVICE_RUNTIME_COLLECTIONS);
	assert_null(worker.work.command[1]);
	assert_int_equal(worker.work.group, life.service.pid);
	assert_true(service_runtime_deadline_ms(runtime) <= life.now_ms + SERVICE_RUNTIME_LOOK_MS);
}

static void test_without_our_heap_that_of_libc_is_trimmed_too(void **state)
{
	start(false);
	(void)state;
	reach(LEVEL_LAZY);
	assert_int_equal(worker.starts, 0);
	reach(LEVEL_EAGER);
	assert_int_equal(worker.starts, 1);
	assert_string_equal(worker.work.command[0], "System.trim_native_heap");
	assert_null(worker.work.command[1]);
	end_with((struct jvm_done){.jvms = 1});
	/* What is harder is not waited with. */
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 2);
	assert_string_equal(worker.work.command[0], "GC.run");
	assert_string_equal(worker.work.command[1], "System.trim_native_heap");
}

static void test_it_is_asked_again_only_after_a_rest(void **state)
{
	const struct service_runtime *runtime = start(true);
	(void)state;
	reach(LEVEL_FULL);
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 1);
	end_with((struct jvm_done){
		.jvms = 1, .before_bytes = 9 << 20, .after_bytes = 4 << 20, .took_ms = 7});
	assert_int_equal(
		said("web: runtime: GC.run of 1 JVM at full: resident 9M -> 4M in 7ms"), 1);
	assert_true(service_runtime_deadline_ms(runtime) == life.now_ms + SERVICE_RUNTIME_REST_MS);
	life.now_ms += SERVICE_RUNTIME_REST_MS - 1;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 1);
	life.now_ms++;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 2);
	/* One that takes long is asked less often. */
	end_with((struct jvm_done){.jvms = 1, .took_ms = 1000});
	life.now_ms += SERVICE_RUNTIME_SHARE * 1000 - 1;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 2);
	life.now_ms++;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 3);
}

static void test_one_that_does_not_answer_is_remembered(void **state)
{
	start(true);
	(void)state;
	reach(LEVEL_FULL);
	end_with((struct jvm_done){.error = -ETIMEDOUT, .avoided = {.count = 1, .pid = {77}}});
	assert_int_equal(said("web: runtime: a JVM did not do what it was asked at full: "
			      "Connection timed out; it is not asked again"),
		1);
	life.now_ms += SERVICE_RUNTIME_REST_MS;
	reach(LEVEL_FULL);
	assert_int_equal(worker.work.avoided.count, 1);
	assert_int_equal(worker.work.avoided.pid[0], 77);
}

static void test_one_that_is_slow_is_asked_less_often(void **state)
{
	start(true);
	(void)state;
	reach(LEVEL_FULL);
	end_with((struct jvm_done){.error = -EINPROGRESS, .took_ms = 5000});
	assert_int_equal(said("web: runtime: a JVM was not done with what it was asked at full "
			      "after 5000ms"),
		1);
	life.now_ms += SERVICE_RUNTIME_SHARE * 5000 - 1;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 1);
	life.now_ms++;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 2);
}

static void test_nobody_else_is_asked(void **state)
{
	start(true);
	(void)state;
	life.service.config->dry_run = true;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 0);
	assert_int_equal(said("web: dry run: would ask its JVM for GC.run at full"), 1);
	life.service.config->dry_run = false;
	life.service.runtime.kind = CONFIG_RUNTIME_NODE;
	life.now_ms += SERVICE_RUNTIME_REST_MS;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 0);
}

static void test_another_limit_is_told(void **state)
{
	struct service_runtime *runtime = start(true);
	(void)state;
	runtime->first_bytes = runtime->limit_bytes = 1000 << 20;
	fake_tick.share.limit_bytes = 1000 << 20;
	reach(LEVEL_CALM);
	assert_int_equal(worker.starts, 0);
	fake_tick.share.limit_bytes = 500000000;
	reach(LEVEL_CALM);
	assert_int_equal(worker.starts, 1);
	assert_string_equal(worker.work.command[0], "VM.set_flag SoftMaxHeapSize 350000000");
	end_with((struct jvm_done){.jvms = 1});
	assert_int_equal(said("web: runtime: 1 JVM: VM.set_flag SoftMaxHeapSize 350000000"), 1);
	assert_int_equal(worker.starts, 1);
	/* Not above what the heap was limited to at its start. */
	fake_tick.share.limit_bytes = UINT64_MAX;
	reach(LEVEL_CALM);
	assert_int_equal(worker.starts, 2);
	assert_string_equal(worker.work.command[0], "VM.set_flag SoftMaxHeapSize 734003200");
}

static void test_one_that_was_taken_over_is_what_its_settings_say(void **state)
{
	struct service_runtime *runtime = start(true);
	(void)state;
	runtime->kind = CONFIG_RUNTIME_AUTO;
	reach(LEVEL_FULL);
	assert_int_equal(worker.starts, 0);
	life.service.left = (struct service_left *)&worker;
	reach(LEVEL_FULL);
	life.service.left = NULL;
	assert_int_equal(worker.starts, 1);
}

static void test_it_ends_with_the_service(void **state)
{
	start(true);
	(void)state;
	reach(LEVEL_FULL);
	service_runtime_end(&life.service.runtime);
	assert_int_equal(worker.closed, 1);
	service_runtime_end(&life.service.runtime);
	assert_int_equal(worker.closed, 1);
}

static void test_it_is_said_what_would_have_helped(void **state)
{
	static const struct {
		enum config_runtime kind;
		bool limits;
		bool is_static;
		const char *advice; /* a part of it */
	} rows[] = {
		{CONFIG_RUNTIME_GO, false, true, "runtime_limits = yes"},
		{CONFIG_RUNTIME_GO, true, true, NULL},
		{CONFIG_RUNTIME_PHP, true, false, "USE_ZEND_ALLOC=0"},
		{CONFIG_RUNTIME_AUTO, false, true, "linked statically"},
		{CONFIG_RUNTIME_AUTO, false, false, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		life.service.runtime.kind = rows[i].kind;
		life.service.runtime.is_static = rows[i].is_static;
		life.service.config->runtime_limits = rows[i].limits;
		const char *advice = service_runtime_advice(&life.service);
		if (rows[i].advice == NULL)
			assert_null(advice);
		else
			assert_non_null(strstr(advice, rows[i].advice));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, life_setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_at_full_the_garbage_is_collected),
		TEST(test_without_our_heap_that_of_libc_is_trimmed_too),
		TEST(test_it_is_asked_again_only_after_a_rest),
		TEST(test_one_that_does_not_answer_is_remembered),
		TEST(test_one_that_is_slow_is_asked_less_often),
		TEST(test_nobody_else_is_asked),
		TEST(test_another_limit_is_told),
		TEST(test_one_that_was_taken_over_is_what_its_settings_say),
		TEST(test_it_ends_with_the_service),
		TEST(test_it_is_said_what_would_have_helped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
