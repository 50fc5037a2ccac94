#ifndef SUPERVISOR_FLEET_WRAP_H
#define SUPERVISOR_FLEET_WRAP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How one wrapped command is treated: what the small init programs have options for.
 *
 *   target            signals go to                                             as
 *   WRAP_TO_COMMAND   the command                                               tini, catatonit
 *   WRAP_TO_GROUP     its process group                                         their -g
 *   WRAP_TO_SESSION   its process group, which is the first of a new session    dumb-init
 *                     that is given the terminal
 *
 * The end: when the command has ended, all that is left below us gets TERM, and KILL at the end of
 * the stop budget.  The budget begins with the first TERM, INT or QUIT that was passed on, or with
 * the command's end where there was none.  Only a budget that the user has set is the command's
 * too; one that takes longer to stop than our default would otherwise lose what its own
 * supervisor grants it.  What it leaves then has WRAP_STOP_LEAST_MS even if the default is over.
 */

#define WRAP_STOP_WAIT_MS 10000U
#define WRAP_STOP_LEAST_MS 2000U
#define WRAP_STOP_UNLIMITED UINT32_MAX

#define WRAP_SIGNALS 65 /* one more than the highest */
#define WRAP_STATUSES 256

enum wrap_target { WRAP_TO_COMMAND, WRAP_TO_GROUP, WRAP_TO_SESSION };

struct wrap {
	enum wrap_target target;
	bool stops_along;   /* TSTP, TTIN and TTOU stop us, too, once they are passed on */
	bool leaves_rest;   /* what the command leaves behind is neither signalled nor waited for */
	bool tells_reaped;  /* each orphan that is reaped is a line */
	bool has_stop_wait; /* the user has set it */
	uint32_t stop_wait_ms;
	int parent_death_signal;        /* that we get when our parent ends; 0 = none */
	uint8_t sent[WRAP_SIGNALS];     /* what is passed on for each signal; 0 = nothing */
	bool is_success[WRAP_STATUSES]; /* a status that becomes 0 */
};

/* As tini: to the command, every signal as it is, TTIN and TTOU not at all. */
void wrap_init(struct wrap *wrap);

/* As dumb-init: the target, and the terminal's stop signals as STOP where nothing else is set. */
void wrap_set_session(struct wrap *wrap);

/* When what is left is killed: told_ms is when the command was told to end, 0 = it was not.
 * UINT64_MAX = never. */
uint64_t wrap_deadline_ms(const struct wrap *wrap, uint64_t told_ms, uint64_t ended_ms);

/* When the command itself is killed. */
uint64_t wrap_command_deadline_ms(const struct wrap *wrap, uint64_t told_ms);

#endif
