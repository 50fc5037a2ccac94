#ifndef TESTS_SUPPORT_REFUSED_H
#define TESTS_SUPPORT_REFUSED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * The N-th allocation, or the N-th new descriptor, is refused.
 *
 * A test runs the same story for N = 1, 2, 3, ... until one comes to its end
 * without a refusal: then every call that can be refused has been.
 *
 * The calls of our own objects are wrapped by the linker (WRAP_refused in the
 * Makefile).  Without a sanitizer the test defines malloc and its siblings by
 * REFUSED_MALLOC, for the whole process: the allocations of libevent, libcgroup,
 * inih and the C library are counted then as well.  All is for one thread: the
 * others of the supervisor neither allocate nor open.
 */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define REFUSED_OURS_ONLY 1
#define REFUSED_MALLOC
#else
#define REFUSED_OURS_ONLY 0
/* __libc_malloc is what the C library exports for this. */
#define REFUSED_MALLOC \
	void *__libc_malloc(size_t size); \
	void *__libc_calloc(size_t count, size_t size); \
	void *__libc_realloc(void *block, size_t size); \
	void *malloc(size_t size) \
	{ \
		return refused_now(REFUSED_MEMORY) ? NULL : __libc_malloc(size); \
	} \
	void *calloc(size_t count, size_t size) \
	{ \
		return refused_now(REFUSED_MEMORY) ? NULL : __libc_calloc(count, size); \
	} \
	void *realloc(void *block, size_t size) \
	{ \
		return refused_now(REFUSED_MEMORY) ? NULL : __libc_realloc(block, size); \
	}
#endif

enum refused_kind { REFUSED_MEMORY, REFUSED_DESCRIPTORS };
enum refused_how { REFUSED_ONCE, REFUSED_FROM_THEN_ON };

struct refused {
	enum refused_kind kind;
	enum refused_how how;
	uint64_t at;      /* the first that is refused, from 1 */
	uint64_t calls;   /* while it was on */
	uint64_t refused; /* of them */
	bool on;
};

extern struct refused refused;

/* Off until the test switches it on, around the code under test alone. */
void refused_begin(enum refused_kind kind, enum refused_how how, uint64_t at);

/* For the wrapped calls: whether this one is refused.  Sets errno where it is. */
bool refused_now(enum refused_kind kind);

#endif
