#ifndef TESTS_HEAP_TAKEOVER_PROTOCOLS_H
#define TESTS_HEAP_TAKEOVER_PROTOCOLS_H

#include <stdint.h>

/*
 * What tests/heap/test_takeover_model.c walks through: the protocol of
 * shim/heap/cache_owner.h, others that are as good, and the ways to break it, each
 * with what must be found of it in either memory.
 */
enum memory { TSO, VIEWS };

enum op {
	DONE,
	E1,         /* busy = 1 */
	E2,         /* taken? then keep out */
	E2_RELAXED, /* the same, not an acquire */
	E2_WAITS,   /* stay until it is not taken */
	E3,         /* busy = 0 */
	E3_RELAXED,
	S0, /* take the lock */
	S1, /* taken = 1 */
	S2, /* membarrier starts */
	S2_ENDS,
	S3, /* wait until busy is 0 */
	S3_RELAXED,
	S3_GIVES_UP, /* the same, and may keep out instead */
	S4,          /* taken = 0 */
	S4_RELAXED,
	S5, /* drop the lock */
	READ,
	WRITE,
	FENCE /* of this thread alone */
};

enum verdict { SOUND, BROKEN, STUCK };

#define OPS 12

struct protocol {
	const char *name;
	uint8_t owner_rounds;
	uint8_t thief_rounds;
	uint8_t thieves;
	enum op owner[OPS];
	enum op thief[OPS];
	enum verdict verdict[2];
};

#define OWNER_OPS \
	{ \
		E1, E2, READ, WRITE, E3 \
	}
#define THIEF_OPS \
	{ \
		S0, S1, S2, S2_ENDS, S3, READ, WRITE, S4, S5 \
	}

/* clang-format off */
static const struct protocol protocols[] = {
	{"one thief, often", 4, 2, 1, OWNER_OPS, THIEF_OPS, {SOUND, SOUND}},
	{"two thieves", 2, 2, 2, OWNER_OPS, THIEF_OPS, {SOUND, SOUND}},
	{"a thief that may give up", 3, 2, 1, OWNER_OPS,
		{S0, S1, S2, S2_ENDS, S3_GIVES_UP, READ, WRITE, S4, S5}, {SOUND, SOUND}},
	{"two fences instead of membarrier", 2, 2, 1, {E1, FENCE, E2, READ, WRITE, E3},
		{S0, S1, FENCE, S3, READ, WRITE, S4, S5}, {SOUND, SOUND}},
	{"no membarrier", 2, 1, 1, OWNER_OPS,
		{S0, S1, S3, READ, WRITE, S4, S5}, {BROKEN, BROKEN}},
	{"a fence of the thief alone", 2, 1, 1, OWNER_OPS,
		{S0, S1, FENCE, S3, READ, WRITE, S4, S5}, {BROKEN, BROKEN}},
	{"a fence of the owner alone", 2, 1, 1, {E1, FENCE, E2, READ, WRITE, E3},
		{S0, S1, S3, READ, WRITE, S4, S5}, {BROKEN, BROKEN}},
	{"E2 before E1", 2, 1, 1, {E2, E1, READ, WRITE, E3}, THIEF_OPS, {BROKEN, BROKEN}},
	{"the bins after E3", 2, 1, 1, {E1, E2, E3, READ, WRITE}, THIEF_OPS, {BROKEN, BROKEN}},
	{"S2 before S1", 2, 1, 1, OWNER_OPS,
		{S0, S2, S2_ENDS, S1, S3, READ, WRITE, S4, S5}, {BROKEN, BROKEN}},
	{"S3 before S2", 2, 1, 1, OWNER_OPS,
		{S0, S1, S3, S2, S2_ENDS, READ, WRITE, S4, S5}, {BROKEN, BROKEN}},
	{"S4 before the bins", 2, 1, 1, OWNER_OPS,
		{S0, S1, S2, S2_ENDS, S3, S4, READ, WRITE, S5}, {BROKEN, BROKEN}},
	{"no lock between thieves", 2, 1, 2, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, READ, WRITE, S4}, {BROKEN, BROKEN}},
	{"E2 no acquire", 2, 1, 1, {E1, E2_RELAXED, READ, WRITE, E3}, THIEF_OPS, {SOUND, BROKEN}},
	{"E3 no release", 2, 1, 1, {E1, E2, READ, WRITE, E3_RELAXED}, THIEF_OPS, {SOUND, BROKEN}},
	{"S3 no acquire", 2, 1, 1, OWNER_OPS,
		{S0, S1, S2, S2_ENDS, S3_RELAXED, READ, WRITE, S4, S5}, {SOUND, BROKEN}},
	{"S4 no release", 2, 1, 1, OWNER_OPS,
		{S0, S1, S2, S2_ENDS, S3, READ, WRITE, S4_RELAXED, S5}, {SOUND, BROKEN}},
	{"an owner that waits inside", 2, 1, 1, {E1, E2_WAITS, READ, WRITE, E3}, THIEF_OPS,
		{STUCK, STUCK}},
};
/* clang-format on */

#endif
