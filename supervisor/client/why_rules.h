#ifndef SUPERVISOR_CLIENT_WHY_RULES_H
#define SUPERVISOR_CLIENT_WHY_RULES_H

#include "supervisor/client/why_facts.h"

/*
 * What would have helped, by the facts.  The rules stand in the order in which they are worth
 * trying; several may apply.  Pure.
 */

#define WHY_ADVICE_BYTES 320
#define WHY_RULES_MAX 12

struct why_advice {
	const char *rule; /* its name, for JSON */
	char text[WHY_ADVICE_BYTES];
};

/* Those that apply, the first the most telling; at least one. */
size_t why_rules(const struct why_facts *facts, struct why_advice advice[WHY_RULES_MAX]);

/* The limit below which what was really needed would have fit, with an eighth of room. */
uint64_t why_needed_bytes(const struct why_facts *facts);

#endif
