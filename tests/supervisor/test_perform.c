#include "supervisor/tick/perform.h"
#include "supervisor/tick/tick_service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define MIB (UINT64_C(1) << 20)

/* One service with a link of its own, and all that was logged. */
struct stage {
	struct tick_service service;
	struct tick_service *list[1];
	struct perform_means means;
	struct plan plan;
	struct action action[4];
	int log_fd;
	int stderr_fd;
};

static int setup(void **state)
{
	struct stage *stage = calloc(1, sizeof *stage);
	assert_int_equal(link_open("web", NULL, &stage->service.link), 0);
	stage->plan.action = stage->action;
	stage->list[0] = &stage->service;
	strcpy(stage->service.config.name, "web");
	stage->service.high_bytes = UINT64_MAX;
	stage->service.perform.usage_bytes = 241 * MIB;
	stage->service.sampler.totals.threads = 2;
	stage->service.sampler.totals.heap.processes = 2;
	stage->log_fd = memfd_create("log", MFD_CLOEXEC);
	stage->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(dup2(stage->log_fd, STDERR_FILENO) >= 0);
	*state = stage;
	return 0;
}

static int teardown(void **state)
{
	struct stage *stage = *state;
	dup2(stage->stderr_fd, STDERR_FILENO);
	close(stage->stderr_fd);
	close(stage->log_fd);
	link_close(stage->service.link);
	free(stage);
	return 0;
}

/* The one line logged since the last call, without its time; "" for none. */
static const char *logged(struct stage *stage)
{
	static char text[2048];
	ssize_t length = pread(stage->log_fd, text, sizeof text - 1, 0);
	text[length > 0 ? (size_t)length : 0] = '\0';
	assert_int_equal(ftruncate(stage->log_fd, 0), 0);
	assert_int_equal(lseek(stage->log_fd, 0, SEEK_SET), 0);
	char *newline = strchr(text, '\n');
	if (newline == NULL)
		return "";
	assert_int_equal(newline[1], '\0');
	*newline = '\0';
	char *start = strstr(text, "spillway: ");
	assert_non_null(start);
	return start + strlen("spillway: ");
}

static const struct reason headroom = {
	.kind = REASON_HEADROOM, .value = 19084083, .threshold = 26843546, .wall_bytes = 256 * MIB};

static void ask(struct stage *stage, uint64_t now_ms)
{
	stage->plan.count = 0;
	stage->plan.action[stage->plan.count++] = (struct action){.kind = ACTION_LEVEL,
		.level = LEVEL_EAGER,
		.previous = LEVEL_LAZY,
		.reason = headroom};
	stage->plan.action[stage->plan.count++] = (struct action){.kind = ACTION_RELEASE,
		.level = LEVEL_EAGER,
		.target_bytes = 12 * MIB,
		.reason = headroom};
	perform_plan(&stage->means, &stage->plan, stage->list, now_ms);
}

static void test_a_release_is_one_line_when_all_have_answered(void **state)
{
	struct stage *stage = *state;
	stage->service.sampler.totals.heap.released_bytes = 1000 * MIB;
	ask(stage, 5000);
	assert_string_equal(logged(stage), "");
	assert_int_equal(link_level(stage->service.link), LEVEL_EAGER);
	assert_int_equal(perform_due_ms(&stage->service.perform), 5000 + PERFORM_ANSWER_MS);
	stage->service.sampler.totals.heap.answered = false;
	perform_settle(&stage->service, 5003);
	assert_string_equal(logged(stage), "");
	stage->service.sampler.totals.heap.answered = true;
	stage->service.sampler.totals.heap.released_bytes += 11 * MIB + 838860;
	stage->service.perform.usage_bytes = 229 * MIB;
	perform_settle(&stage->service, 5007);
	assert_string_equal(logged(stage),
		"web: eager (was lazy): headroom 18.1M < 25.6M of 256M; asked 12M of 2 processes; "
		"returned 11.7M in 7ms (memory.current 241M -> 229M)");
	assert_true(perform_due_ms(&stage->service.perform) == UINT64_MAX);
	assert_int_equal(stage->service.perform.releases[LEVEL_EAGER], 1);
	perform_settle(&stage->service, 9000);
	assert_string_equal(logged(stage), "");
}

static void test_what_a_page_costs_is_said_where_it_is_known(void **state)
{
	struct stage *stage = *state;
	ask(stage, 5000);
	stage->service.perform.ask.spared = 1;
	stage->service.sampler.totals.heap.answered = true;
	stage->service.sampler.totals.heap.released_bytes += 12 * MIB;
	stage->service.sampler.totals.heap.page_ns = 310;
	perform_settle(&stage->service, 5007);
	assert_string_equal(logged(stage),
		"web: eager (was lazy): headroom 18.1M < 25.6M of 256M; asked 12M of 1 of 2 "
		"processes; returned 12M in 7ms at 310ns a page (memory.current 241M -> 241M)");
}

static void test_who_does_not_answer_is_reported_after_a_second(void **state)
{
	struct stage *stage = *state;
	ask(stage, 5000);
	stage->service.sampler.totals.heap.answered = false;
	stage->service.perform.usage_shared = true;
	perform_settle(&stage->service, 5000 + PERFORM_ANSWER_MS);
	assert_string_equal(logged(stage),
		"web: eager (was lazy): headroom 18.1M < 25.6M of 256M; asked 12M of 2 processes; "
		"returned 0 in 1000ms so far, not all answered (shared memory.current 241M -> "
		"241M)");
}

static void test_without_a_heap_there_is_nobody_to_wait_for(void **state)
{
	struct stage *stage = *state;
	stage->service.sampler.totals.threads = 0;
	ask(stage, 5000);
	assert_string_equal(logged(stage),
		"web: eager (was lazy): headroom 18.1M < 25.6M of 256M; nobody to ask: no "
		"scavenger runs yet");
	stage->service.sampler.totals.heap.processes = 0;
	ask(stage, 5000);
	assert_string_equal(logged(stage),
		"web: eager (was lazy): headroom 18.1M < 25.6M of 256M; nobody to ask: no heap has "
		"joined");
}

static void test_asking_again_for_nothing_is_no_news(void **state)
{
	struct stage *stage = *state;
	stage->plan.count = 1;
	stage->plan.action[0] = (struct action){.kind = ACTION_RELEASE,
		.level = LEVEL_EAGER,
		.previous = LEVEL_EAGER,
		.target_bytes = 12 * MIB,
		.reason = headroom};
	perform_plan(&stage->means, &stage->plan, stage->list, 5000);
	stage->service.sampler.totals.heap.answered = true;
	perform_settle(&stage->service, 5001);
	assert_string_equal(logged(stage), "");
	perform_plan(&stage->means, &stage->plan, stage->list, 6000);
	stage->service.sampler.totals.heap.released_bytes += MIB;
	perform_settle(&stage->service, 6001);
	assert_non_null(strstr(logged(stage), "returned 1M in 1ms"));
}

static void test_a_level_alone_is_a_line_at_once(void **state)
{
	struct stage *stage = *state;
	stage->plan.count = 1;
	stage->plan.action[0] = (struct action){.kind = ACTION_LEVEL,
		.level = LEVEL_CALM,
		.previous = LEVEL_LAZY,
		.reason = {.kind = REASON_RELAXED, .value = 120 * MIB}};
	perform_plan(&stage->means, &stage->plan, stage->list, 1);
	assert_string_equal(logged(stage), "web: calm (was lazy): relaxed, headroom 120M");
}

/* The operator's wish is no reason for the level that changes at the same moment. */
static void test_a_level_and_a_wish_are_a_line_each(void **state)
{
	struct stage *stage = *state;
	ask(stage, 5000);
	stage->plan.action[1].reason = (struct reason){.kind = REASON_MANUAL};
	stage->service.perform = (struct perform_service){0};
	perform_plan(&stage->means, &stage->plan, stage->list, 5000);
	assert_string_equal(logged(stage), "web: eager (was lazy): headroom 18.1M < 25.6M of 256M");
	stage->service.sampler.totals.heap.answered = true;
	perform_settle(&stage->service, 5001);
	assert_non_null(strstr(logged(stage), "web: eager: asked for by hand; asked 12M of 2"));
}

static void test_a_second_release_reports_the_first(void **state)
{
	struct stage *stage = *state;
	ask(stage, 5000);
	stage->plan.count = 1;
	stage->plan.action[0] = (struct action){.kind = ACTION_RELEASE,
		.level = LEVEL_FULL,
		.target_bytes = UINT64_MAX,
		.reason = {.kind = REASON_MANUAL}};
	perform_plan(&stage->means, &stage->plan, stage->list, 5100);
	assert_non_null(strstr(logged(stage), "in 100ms so far, not all answered"));
	stage->service.sampler.totals.heap.answered = true;
	perform_settle(&stage->service, 5101);
	assert_string_equal(logged(stage),
		"web: full: asked for by hand; asked all of 2 processes; returned 0 in 1ms "
		"(memory.current 241M -> 241M)");
}

static void test_a_service_that_ended_is_not_waited_for(void **state)
{
	struct stage *stage = *state;
	ask(stage, 5000);
	perform_forget(&stage->service.perform);
	perform_settle(&stage->service, 9000);
	assert_string_equal(logged(stage), "");
}

static void test_without_leaves_there_is_no_brake(void **state)
{
	struct stage *stage = *state;
	stage->plan.count = 2;
	stage->plan.action[0] = (struct action){
		.kind = ACTION_BRAKE, .high_bytes = 1, .until_ms = 9, .reason = headroom};
	stage->plan.action[1] = (struct action){.kind = ACTION_UNBRAKE};
	perform_plan(&stage->means, &stage->plan, stage->list, 1);
	assert_string_equal(logged(stage), "");
	assert_int_equal(stage->service.perform.brakes, 0);
}

static void test_a_dry_run_says_what_would_be_done_and_does_nothing(void **state)
{
	struct stage *stage = *state;
	stage->service.config.dry_run = true;
	ask(stage, 5000);
	assert_string_equal(logged(stage),
		"web: dry run: would ask 12M of 2 processes: eager (was lazy): headroom 18.1M < "
		"25.6M of 256M");
	assert_int_equal(link_level(stage->service.link), LEVEL_CALM);
	assert_int_equal(stage->service.perform.releases[LEVEL_EAGER], 0);
	assert_true(perform_due_ms(&stage->service.perform) == UINT64_MAX);
	/* Again, with the level as it is: no news. */
	stage->plan.count = 1;
	stage->plan.action[0] = stage->plan.action[1];
	perform_plan(&stage->means, &stage->plan, stage->list, 5100);
	assert_string_equal(logged(stage), "");
	stage->plan.action[0] = (struct action){.kind = ACTION_LEVEL,
		.level = LEVEL_CALM,
		.previous = LEVEL_EAGER,
		.reason = {.kind = REASON_RELAXED, .value = 120 * MIB}};
	perform_plan(&stage->means, &stage->plan, stage->list, 5200);
	assert_string_equal(
		logged(stage), "web: dry run: would be calm (was eager): relaxed, headroom 120M");
	/* The operator's word is done. */
	stage->plan.action[0] = (struct action){.kind = ACTION_RELEASE,
		.level = LEVEL_FULL,
		.target_bytes = UINT64_MAX,
		.reason = {.kind = REASON_MANUAL}};
	perform_plan(&stage->means, &stage->plan, stage->list, 5300);
	assert_int_equal(stage->service.perform.releases[LEVEL_FULL], 1);
}

static void test_every_reason_names_its_numbers(void **state)
{
	static const struct {
		struct reason reason;
		const char *text;
	} rows[] = {
		{{REASON_HEADROOM, 0, 1024, 0, false}, "headroom 0 < 1K"},
		{{REASON_HEADROOM, 512, 1024, 4096, true}, "headroom 512 < 1K of shared 4K"},
		{{REASON_TIME_TO_WALL, 800, 2000, 256 * MIB, false},
			"800ms < 2000ms to the wall of 256M"},
		{{REASON_TIME_TO_WALL, 800, 2000, 256 * MIB, true},
			"800ms < 2000ms to the shared wall of 256M"},
		{{REASON_PRESSURE, 125, 100, 0, false},
			"stalled 12.5% > 10.0% of the time in its cgroup"},
		{{REASON_PRESSURE, 125, 100, 0, true},
			"stalled 12.5% > 10.0% of the time in the shared cgroup"},
		{{REASON_EVENTS_HIGH, 3, 0, 0, false}, "its memory.events high +3"},
		{{REASON_EVENTS_MAX, 2, 0, 4096, true}, "the shared cgroup's memory.events max +2"},
		{{REASON_GATE, 4 * MIB, MIB, 0, false}, "gate: 4M wanted, 1M of credit left"},
		{{REASON_MANUAL, 0, 0, 0, false}, "asked for by hand"},
		{{REASON_RELAXED, UINT64_MAX, 0, 0, false}, "relaxed, headroom no limit"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[160];
		perform_reason_text(text, sizeof text, &rows[i].reason);
		assert_string_equal(text, rows[i].text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_release_is_one_line_when_all_have_answered),
		TEST(test_what_a_page_costs_is_said_where_it_is_known),
		TEST(test_who_does_not_answer_is_reported_after_a_second),
		TEST(test_without_a_heap_there_is_nobody_to_wait_for),
		TEST(test_asking_again_for_nothing_is_no_news),
		TEST(test_a_level_alone_is_a_line_at_once),
		TEST(test_a_level_and_a_wish_are_a_line_each),
		TEST(test_a_second_release_reports_the_first),
		TEST(test_a_service_that_ended_is_not_waited_for),
		TEST(test_without_leaves_there_is_no_brake),
		TEST(test_a_dry_run_says_what_would_be_done_and_does_nothing),
		cmocka_unit_test(test_every_reason_names_its_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
