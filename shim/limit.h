#ifndef SHIM_LIMIT_H
#define SHIM_LIMIT_H

#include "shim/heap/scavenge/scavenge.h"
#include "shim/protocol.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The soft limit of a process that has no supervisor: what was asked for, and what is in
 * force.  alone.h finds it out; the gate, the level and the price only read it here.
 *
 *	SPILLWAY_LIMIT=auto	the tightest memory limit of the cgroup and those above it, v1 or
 *				v2, read again and again; without one nothing happens.  The default
 *	SPILLWAY_LIMIT=512M	besides, the memory of this process's heap should not exceed
 *				this
 *	SPILLWAY_LIMIT=80%	the same, as a share of the cgroup's limit; without one, of
 *				the machine's memory
 *	SPILLWAY_LIMIT=off	none of it
 *
 * A size or share counts what the heap has resident (mapped less clean), not files, stacks,
 * the program's own mappings, or other processes, as Go's GOMEMLIMIT counts Go's memory.  It is
 * soft: where what is in use alone comes near it, the limit gives way (alone.h), and no
 * allocation ever fails or waits for long on its account.
 *
 * The gate is the link's (protocol.h) in private memory, so that gate.c knows one kind: its
 * credit is UINT64_MAX unless the thread of alone.h runs and has limited it.  The slot holds what
 * waits there.
 *
 * Growth is told by limit_growth_note.  When the total passes the mark, whoever grows notifies
 * once: the thread looks again and sets another mark.  That is how a process that is far from its
 * limit needs no wake-up and no thread.
 */

enum limit_kind { LIMIT_AUTO, LIMIT_OFF, LIMIT_SIZE, LIMIT_SHARE };

struct limit_setting {
	enum limit_kind kind;
	uint64_t bytes;    /* LIMIT_SIZE */
	uint32_t permille; /* LIMIT_SHARE */
};

#define LIMIT_BYTES_MIN ((uint64_t)1 << 20)
#define LIMIT_PRICE_PERMILLE 1000U
#define LIMIT_NO_MARK UINT64_MAX

/* 0, or -EINVAL and *parsed is untouched. */
int limit_parse(const char *text, struct limit_setting *parsed);

/* By the constructor; environment NULL: one that is not to be trusted.  wake brings the
 * scavenger's thread to look whether it is wanted (limit_is_wanted). */
void limit_init(char **environment, void (*wake)(void));
const struct limit_setting *limit_setting(void);

/* What is in force; all by relaxed loads. */
enum heap_level limit_level(void);
/* What the wall adds to the price of keeping idle memory. */
uint32_t limit_price_permille(void);
/* How long a growing heap may wait. */
uint32_t limit_gate_wait_ms(void);
struct link_gate *limit_gate(void);
struct link_slot *limit_slot(void);

/* total: what the heap has made resident so far. */
void limit_mark_pass(void);
extern _Atomic uint64_t limit_mark;
static inline void limit_growth_note(uint64_t total_bytes)
{
	if (__builtin_expect(
		    total_bytes >= atomic_load_explicit(&limit_mark, memory_order_relaxed), 0))
		limit_mark_pass();
}
/* Someone waits at the gate. */
void limit_notify(void);
/* How often it was called. */
uint32_t limit_notified(void);

/* For alone.c.  A thread that is there is notified, by the word that it sleeps on with these bits;
 * otherwise, word NULL, the next one is wanted. */
void limit_attend(_Atomic uint32_t *word, uint32_t bits);
bool limit_is_attended(void);
bool limit_is_wanted(void);
void limit_want(bool wants);
void limit_level_set(enum heap_level to);
void limit_price_set(uint32_t permille);
void limit_gate_wait_set(uint32_t wait_ms);
/* credit_bytes, less what was taken since it was read as seen_bytes. */
void limit_credit_set(uint64_t credit_bytes, uint64_t seen_bytes);
/* Nothing is limited, nobody waits. */
void limit_lift(void);

/* In a forked child, where the thread is not. */
void limit_fork_child(void);

#endif
