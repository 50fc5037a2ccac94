#ifndef SHIM_GATE_H
#define SHIM_GATE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The growth gate, for gate_set().
 *
 * Far from the wall it costs one load and says false.  Near it, credit_bytes
 * is limited and a heap that grows pays with it, in this order:
 *
 *   1. credit, all or nothing, so that small needs are not starved by a large
 *      one that collects;
 *   2. what an eager pass over its own heap makes clean; a surplus becomes
 *      credit for everybody;
 *   3. credit again, after telling the supervisor the need (slot.wants_bytes,
 *      the sum over this process's threads) and sleeping on gate.turn, for
 *      header.gate_wait_ms in total.
 *
 * The supervisor may shorten that time while the heap waits: it writes 0 to
 * header.gate_wait_ms when it knows that nobody has anything to give
 * (supervisor/policy/shortage.h).
 *
 * Then it goes on in any case and takes what credit there is: the gate slows
 * and never refuses.  A need of GATE_SMALL_BYTES or less waits an eighth as
 * long: it moves the wall by little and is often part of serving a request,
 * yet growth made of many small needs is still braked.
 *
 * While a level above calm is in force, what was paid for is populated at once,
 * so that usage shows it before the next step hands out more.  At calm it is
 * not, nor is what nobody granted: much of it may never be touched.
 *
 * Without a supervisor the same gate is kept by the process itself near its limit (limit.h,
 * alone.h): what the supervisor does above, the thread of alone.h does.
 *
 * Nobody waits in the scavenger's thread, inside another wait of the same
 * thread, in a vfork child, when the supervisor is silent, or without a slot
 * to say the need in.  errno is kept.
 */
#define GATE_SMALL_BYTES ((size_t)64 * 1024)
#define GATE_SMALL_SHARE 8U

bool gate_pass(size_t bytes);

/* For gate_set_populated(): what this thread took of the credit in its last gate_pass is resident.
 * The slot counts it: where another process ends or gives back at the same time, usage would not
 * show it, and the credit would seem to be used by nobody yet (supervisor/policy/credit.h). */
void gate_populated(void);

/* This thread never waits at the gate, pays no credit, and never starts work of the scavenger. */
void gate_exempt_thread(void);

#endif
