#ifndef TESTS_SUPPORT_FAKE_MACHINE_H
#define TESTS_SUPPORT_FAKE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/tick/tick.h"

/*
 * A tick on a fake hierarchy of cgroups, with a clock of its own (WRAP_machine
 * in the Makefile).
 *
 * The supervisor is alone in the cgroup "box", which has a limit of 256 MiB.
 * Plain files take no epoll, so triggers and memory.events are eventfds here:
 * they open where the file is there, and are alive until the test says not.
 */

#define MIB (UINT64_C(1) << 20)
#define FAKE_MACHINE_LIMIT_TEXT "268435456\n"

struct fake_machine {
	struct tick *tick;
	struct tick_service **service;
	size_t count;
	/* Far ahead of the machine's own clock, by which the brake's thread counts. */
	uint64_t now_ms;
	bool triggers_dead;
	bool events_dead;
	bool triggers_refused; /* -EINVAL */
	/* Of the last trigger that was asked for, and how many were. */
	struct config_psi trigger;
	unsigned trigger_count;
};

extern struct fake_machine machine;

/* The hierarchy alone; a test that changes it calls fake_machine_start() then. */
void fake_machine_open(void);
void fake_machine_close(void);

/* The same for cmocka, with the log heard (said.h). */
int fake_machine_setup(void **state);
int fake_machine_teardown(void **state);

/* Parses the text: a tick with its services. */
void fake_machine_list(const char *config_text);

/* The same, and prepares and starts every service. */
void fake_machine_start(const char *config_text);

/* As fleet/reload.c does: services of the same name stay with new settings, and those that the text
 * does not have are removed.  What is new is not prepared. */
void fake_machine_reload(const char *config_text);

void fake_machine_load(const char *text, struct config *config);

/* One turn, so many milliseconds later. */
uint32_t fake_machine_turn(uint64_t after_ms);

void fake_machine_use(const char *cgroup, uint64_t bytes);
struct tick_counts fake_machine_counts(size_t service);
enum level fake_machine_level(size_t service);

/* memory.events and memory.events.local of a cgroup. */
void fake_machine_events(const char *cgroup, unsigned max, unsigned oom_kill);

#endif
