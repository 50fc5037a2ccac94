#ifndef TESTS_HEAP_TAKEOVER_PROTOCOLS_H
#define TESTS_HEAP_TAKEOVER_PROTOCOLS_H

#include <stdint.h>

/*
 * What tests/heap/test_takeover_model.c walks through: the protocol of
 * shim/heap/caches/cache_owner.h, others that are as good, and the ways to break it, each
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
	W1,      /* kept out: a wish in taken -> 0 */
	S1,      /* taken = its wish, unless a thief is inside */
	S1_SAME, /* the same wish as any other thief's */
	S2,      /* membarrier starts */
	S2_ENDS,
	S3,      /* take the lock, or keep out */
	S4,      /* taken: its wish -> TAKEN, else keep out */
	S4_SAME, /* the same wish */
	S4_ANY,  /* whatever is there */
	S5,      /* busy? then keep out */
	S5_RELAXED,
	S6, /* taken = 0, or its wish again where S5 kept it out */
	S6_RELAXED,
	S7, /* drop the lock */
	F3, /* wait for the lock */
	F4, /* taken = TAKEN, whatever is there */
	F6, /* taken = what it was before F4 */
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
		E1, E2, READ, WRITE, E3, W1 \
	}
#define THIEF_OPS \
	{ \
		S1, S2, S2_ENDS, S3, S4, S5, READ, WRITE, S6, S7 \
	}
#define FORK_OPS \
	{ \
		F3, F4, S2, S2_ENDS, S5, READ, WRITE, F6, S7 \
	}

/* clang-format off */
static const struct protocol protocols[] = {
	{"one thief, often", 3, 2, 1, OWNER_OPS, THIEF_OPS, {SOUND, SOUND}},
	{"two thieves", 2, 1, 2, OWNER_OPS, THIEF_OPS, {SOUND, SOUND}},
	{"a fork, often", 3, 2, 1, OWNER_OPS, FORK_OPS, {SOUND, SOUND}},
	{"two fences instead of membarrier", 2, 2, 1, {E1, FENCE, E2, READ, WRITE, E3, W1},
		{S1, FENCE, S3, S4, S5, READ, WRITE, S6, S7}, {SOUND, SOUND}},
	{"no membarrier", 2, 1, 1, OWNER_OPS,
		{S1, S3, S4, S5, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"a fence of the thief alone", 2, 1, 1, OWNER_OPS,
		{S1, FENCE, S3, S4, S5, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"a fence of the owner alone", 2, 1, 1, {E1, FENCE, E2, READ, WRITE, E3, W1},
		{S1, S3, S4, S5, READ, WRITE, S6, S7}, {SOUND, BROKEN}},
	{"E2 before E1", 2, 1, 1, {E2, E1, READ, WRITE, E3, W1}, THIEF_OPS, {BROKEN, BROKEN}},
	{"the bins after E3", 2, 1, 1, {E1, E2, E3, READ, WRITE, W1}, THIEF_OPS,
		{BROKEN, BROKEN}},
	{"S2 before S1", 2, 1, 1, OWNER_OPS,
		{S2, S2_ENDS, S1, S3, S4, S5, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"no S5", 2, 1, 1, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, S4, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"S5 before S2", 2, 1, 1, OWNER_OPS,
		{S1, S3, S4, S5, S2, S2_ENDS, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"S4 takes what is there", 2, 1, 1, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, S4_ANY, S5, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"all thieves have the same wish", 3, 1, 2, OWNER_OPS,
		{S1_SAME, S2, S2_ENDS, S3, S4_SAME, S5, READ, WRITE, S6, S7}, {BROKEN, BROKEN}},
	{"S6 before the bins", 2, 1, 1, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, S4, S5, S6, READ, WRITE, S7}, {BROKEN, BROKEN}},
	{"E2 no acquire", 2, 1, 1, {E1, E2_RELAXED, READ, WRITE, E3, W1}, THIEF_OPS,
		{SOUND, BROKEN}},
	{"E3 no release", 2, 1, 1, {E1, E2, READ, WRITE, E3_RELAXED, W1}, THIEF_OPS,
		{SOUND, BROKEN}},
	{"S5 no acquire", 2, 1, 1, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, S4, S5_RELAXED, READ, WRITE, S6, S7}, {SOUND, BROKEN}},
	{"S6 no release", 2, 1, 1, OWNER_OPS,
		{S1, S2, S2_ENDS, S3, S4, S5, READ, WRITE, S6_RELAXED, S7}, {SOUND, BROKEN}},
	{"an owner that waits inside", 2, 1, 1, {E1, E2_WAITS, READ, WRITE, E3}, THIEF_OPS,
		{STUCK, STUCK}},
};
/* clang-format on */

#endif
