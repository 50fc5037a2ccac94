/* Counts the calls that can be refused, and says which are. */

#include "tests/support/refused.h"

#include <errno.h>

struct refused refused;

void refused_begin(enum refused_kind kind, enum refused_how how, uint64_t at)
{
	refused = (struct refused){.kind = kind, .how = how, .at = at};
}

bool refused_now(enum refused_kind kind)
{
	if (!refused.on || refused.kind != kind)
		return false;
	refused.calls++;
	bool is_refused = refused.how == REFUSED_ONCE ? refused.calls == refused.at
						      : refused.calls >= refused.at;
	if (!is_refused)
		return false;
	refused.refused++;
	errno = kind == REFUSED_MEMORY ? ENOMEM : EMFILE;
	return true;
}
