#ifndef TESTS_PRELOAD_ELSEWHERE_H
#define TESTS_PRELOAD_ELSEWHERE_H

/*
 * What the programs of this folder use and glibc 2.31 and musl do not declare: included before each
 * of them by tests/support/elsewhere.  The library has the functions, whatever the libc is.
 */

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#if !defined(__GLIBC__)
struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo mallinfo(void);
int malloc_trim(size_t pad);
void malloc_stats(void);
int malloc_info(int options, FILE *fp);
int mallopt(int param, int val);
void *pvalloc(size_t size);
#define M_MXFAST 1
#define M_TRIM_THRESHOLD (-1)
#define M_MMAP_THRESHOLD (-3)
#define M_ARENA_MAX (-8)
/* musl's 2048 are too few for the programs' own frames. */
#undef PTHREAD_STACK_MIN
#define PTHREAD_STACK_MIN 16384
#endif

#if !defined(__GLIBC__) || __GLIBC_MINOR__ < 33
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks,
		keepcost;
};
struct mallinfo2 mallinfo2(void);
#endif

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

#endif
