/* new and delete, as C++ names them. */
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/symbol.h"
#include "shim/trace.h"
#include "shim/worker.h"

#include <errno.h>
#include <stddef.h>

/*
 * C++'s operator new and delete, by their mangled names (size_t is unsigned
 * long: the 64-bit ABIs), without linking libstdc++.
 *
 * When memory is out, the throwing forms call the program's new_handler until
 * it finds some, then have libstdc++ throw std::bad_alloc; both functions are
 * found where they are loaded, as a needed library or by dlopen.  The handler
 * may throw as well, and C cannot catch that: so when memory is out and there is a handler, the
 * nothrow forms go on to the C++ library's own, which call the throwing forms,
 * hence ours, and catch.
 */

#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(size_t) == sizeof(unsigned long), "the names below say m");

void (*_ZSt15get_new_handlerv(void))(void) __attribute__((weak));
void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

static void *library_symbol(const char *name)
{
	static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
	void *symbol = NULL;

	for (size_t i = 0; symbol == NULL && i < sizeof libraries / sizeof libraries[0]; i++)
		symbol = symbol_of(libraries[i], name);
	return symbol;
}

static void (*handler_read(void))(void)
{
	void (*(*get)(void))(void) = _ZSt15get_new_handlerv;

	if (get == NULL)
		*(void **)&get = library_symbol("_ZSt15get_new_handlerv");
	return get == NULL ? NULL : get();
}

static _Noreturn void bad_alloc_throw(void)
{
	void (*throw)(void) = _ZSt17__throw_bad_allocv;

	if (throw == NULL)
		*(void **)&throw = library_symbol("_ZSt17__throw_bad_allocv");
	if (throw != NULL)
		throw();
	os_panic("operator new: out of memory, and no C++ library to tell", NULL);
}

static void *new_once(size_t size, size_t alignment)
{
	void *ptr = NULL;

	if (alignment == 0)
		ptr = heap_malloc(size);
	else if ((alignment & (alignment - 1)) == 0)
		ptr = heap_memalign(alignment, size);
	trace_look(alignment == 0 ? TRACE_MALLOC : TRACE_MEMALIGN, alignment, size, ptr);
	return ptr;
}

static __attribute__((noinline)) void *new_or_throw(size_t size, size_t alignment)
{
	for (;;) {
		void *ptr = new_once(size, alignment);
		void (*handler)(void);

		if (__builtin_expect(ptr != NULL, 1))
			return ptr;
		handler = handler_read();
		if (handler == NULL)
			bad_alloc_throw();
		handler();
	}
}

/* The C++ library's nothrow operator of the same name; without a handler it would do the same. */
static void *new_plain_caught(const char *name, size_t size, const void *nothrow)
{
	void *(*library)(size_t size, const void *nothrow) = NULL;

	if (handler_read() != NULL)
		*(void **)&library = library_symbol(name);
	return library != NULL ? library(size, nothrow) : NULL;
}

static void *new_aligned_caught(
	const char *name, size_t size, size_t alignment, const void *nothrow)
{
	void *(*library)(size_t size, size_t alignment, const void *nothrow) = NULL;

	if (handler_read() != NULL)
		*(void **)&library = library_symbol(name);
	return library != NULL ? library(size, alignment, nothrow) : NULL;
}

static inline void *new_fast(size_t size)
{
	void *ptr = heap_malloc_fast(size);

	return __builtin_expect(ptr != NULL, 1) ? ptr : new_or_throw(size, 0);
}

static __attribute__((noinline)) void delete_slow(void *ptr)
{
	trace_look_free(ptr);
	heap_free(ptr);
	worker_look();
}

static inline void delete_any(void *ptr)
{
	if (__builtin_expect(!heap_free_fast(ptr), 0))
		delete_slow(ptr);
}

/* The arguments after the pointer (size, alignment, nothrow) are not needed to free it. */
#define OPERATOR_NEW(name) \
	void *_Zn##name##m(size_t size); \
	void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment); \
	void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *nothrow); \
	void *_Zn##name##mSt11align_val_tRKSt9nothrow_t( \
		size_t size, size_t alignment, const void *nothrow); \
	EXPORT void *_Zn##name##m(size_t size) \
	{ \
		return new_fast(size); \
	} \
	EXPORT void *_Zn##name##mSt11align_val_t(size_t size, size_t alignment) \
	{ \
		return new_or_throw(size, alignment); \
	} \
	EXPORT void *_Zn##name##mRKSt9nothrow_t(size_t size, const void *nothrow) \
	{ \
		void *ptr = new_once(size, 0); \
\
		return ptr != NULL \
			       ? ptr \
			       : new_plain_caught("_Zn" #name "mRKSt9nothrow_t", size, nothrow); \
	} \
	EXPORT void *_Zn##name##mSt11align_val_tRKSt9nothrow_t( \
		size_t size, size_t alignment, const void *nothrow) \
	{ \
		void *ptr = new_once(size, alignment); \
\
		return ptr != NULL \
			       ? ptr \
			       : new_aligned_caught("_Zn" #name "mSt11align_val_tRKSt9nothrow_t", \
					 size, alignment, nothrow); \
	}

#define OPERATOR_DELETE(name) \
	void name(void *ptr); \
	EXPORT void name(void *ptr) \
	{ \
		delete_any(ptr); \
	}

OPERATOR_NEW(w)
OPERATOR_NEW(a)
OPERATOR_DELETE(_ZdlPv)
OPERATOR_DELETE(_ZdlPvm)
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t)
OPERATOR_DELETE(_ZdlPvSt11align_val_t)
OPERATOR_DELETE(_ZdlPvmSt11align_val_t)
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t)
OPERATOR_DELETE(_ZdaPv)
OPERATOR_DELETE(_ZdaPvm)
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t)
OPERATOR_DELETE(_ZdaPvSt11align_val_t)
OPERATOR_DELETE(_ZdaPvmSt11align_val_t)
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t)
