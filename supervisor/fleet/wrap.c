/* How one wrapped command is treated: defaults, and the stop budget. */
#include "supervisor/fleet/wrap.h"

#include <signal.h>

void wrap_init(struct wrap *wrap)
{
	*wrap = (struct wrap){.target = WRAP_TO_COMMAND, .stop_wait_ms = WRAP_STOP_WAIT_MS};
	for (int number = 1; number < WRAP_SIGNALS; number++)
		wrap->sent[number] = (uint8_t)number;
}

void wrap_set_session(struct wrap *wrap)
{
	static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
	wrap->target = WRAP_TO_SESSION;
	/* The kernel drops these for a session that no shell looks after, but not STOP. */
	for (unsigned i = 0; i < sizeof stops / sizeof stops[0]; i++)
		if (wrap->sent[stops[i]] == stops[i])
			wrap->sent[stops[i]] = SIGSTOP;
}

static uint64_t after(uint64_t start_ms, uint32_t wait_ms)
{
	return wait_ms == WRAP_STOP_UNLIMITED ? UINT64_MAX : start_ms + wait_ms;
}

uint64_t wrap_deadline_ms(const struct wrap *wrap, uint64_t told_ms, uint64_t ended_ms)
{
	uint64_t due_ms = after(told_ms != 0 ? told_ms : ended_ms, wrap->stop_wait_ms);
	uint64_t least_ms = ended_ms + WRAP_STOP_LEAST_MS;
	return wrap->has_stop_wait || due_ms > least_ms ? due_ms : least_ms;
}

uint64_t wrap_command_deadline_ms(const struct wrap *wrap, uint64_t told_ms)
{
	if (!wrap->has_stop_wait || told_ms == 0)
		return UINT64_MAX;
	return after(told_ms, wrap->stop_wait_ms);
}
