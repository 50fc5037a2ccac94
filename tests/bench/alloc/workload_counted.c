/* Counts calls of malloc and its kin, the locks that they take and the cache lines that they move,
 * in a preload library whose heap is linked with tests/support/lines.c; tells them as it ends. */
#include "tests/support/lines.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic uint64_t calls;

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

/* shim/preload.c is compiled with -finstrument-functions. */
void __cyg_profile_func_enter(void *function, void *caller)
{
	(void)caller;
	if (function == (void *)malloc || function == (void *)free || function == (void *)calloc ||
		function == (void *)realloc || function == (void *)posix_memalign)
		atomic_fetch_add(&calls, 1);
}

void __cyg_profile_func_exit(void *function, void *caller)
{
	(void)function;
	(void)caller;
}

__attribute__((destructor)) static void tell(void)
{
	struct line_counts counts;

	lines_read(&counts);
	fprintf(stderr, "counted %lu calls %lu locks %lu writes %lu reads\n", atomic_load(&calls),
		counts.locks, counts.writes, counts.reads);
}
