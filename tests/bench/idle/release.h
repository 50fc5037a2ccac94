#ifndef TESTS_BENCH_IDLE_RELEASE_H
#define TESTS_BENCH_IDLE_RELEASE_H

/*
 * Gives back all that the loaded allocator can, by the call it has for that:
 * jemalloc's arena.<all>.purge, mi_collect, MallocExtension_ReleaseFreeMemory,
 * else malloc_trim, which is glibc's and spillway's.
 */
void release_all(void);

#endif
