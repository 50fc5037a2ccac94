#ifndef TESTS_FUZZ_HEAP_STREAM_H
#define TESTS_FUZZ_HEAP_STREAM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes as operations on a heap: two bytes of settings, then operations, each a
 * byte that says which and some that say with what; what is missing at the end
 * counts as 0.  So every file is a valid stream, and one that was cut or
 * changed anywhere still means about the same.
 *
 * A stream is played on a fresh heap by one thread, the same each time.  It
 * plays several: each actor has a thread cache of its own, parked while another
 * acts.  A stream also forks (the rest is played as the child), refuses calls of
 * the kernel, moves the clock, sets the gate, and now and then frees what is no
 * block, in a child that must be stopped for it.
 *
 * At the end the kernel grants everything again, all is freed, the actors leave,
 * and the heap must be empty.  Returns NULL or the promise that was broken.
 */
const char *heap_stream_play(const uint8_t *bytes, size_t count);

#endif
