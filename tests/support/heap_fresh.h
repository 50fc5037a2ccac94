#ifndef TESTS_SUPPORT_HEAP_FRESH_H
#define TESTS_SUPPORT_HEAP_FRESH_H

/*
 * A heap as it is when a process starts, as often as wanted in one process: what
 * the fake kernel handed out is unmapped and the heap's variables, which
 * heap_state.ld gathers, are as they were in the executable.  So what happens
 * after depends on nothing that went before.
 *
 * Called while no other thread has a cache; the knobs of fake_os are reset with
 * it.  A thread that once called cache_thread_exit goes without a cache for ever,
 * also in a fresh heap.  Ends the program where it cannot.
 */
void heap_fresh(void);

#endif
