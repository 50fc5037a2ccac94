/* How often the level of one service may change. */
#include "supervisor/policy/steady.h"

static void forget_old(struct steady *steady, uint64_t now_ms)
{
	while (steady->count > 0 && now_ms - steady->at_ms[steady->first] >= STEADY_MS) {
		steady->first = (steady->first + 1) % STEADY_CHANGES;
		steady->count--;
	}
}

enum level steady_floor(struct steady *steady, enum level level, enum level wanted, uint64_t now_ms)
{
	forget_old(steady, now_ms);
	while (wanted < level &&
		steady->count + 1 + (unsigned)(LEVEL_FULL - wanted) > STEADY_CHANGES)
		wanted++;
	return wanted;
}

void steady_note(struct steady *steady, uint64_t now_ms)
{
	forget_old(steady, now_ms);
	if (steady->count == STEADY_CHANGES) {
		steady->first = (steady->first + 1) % STEADY_CHANGES;
		steady->count--;
	}
	steady->at_ms[(steady->first + steady->count) % STEADY_CHANGES] = now_ms;
	steady->count++;
}
