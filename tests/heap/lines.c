/* Stands in for TSan's runtime, and counts cache lines that go from thread to thread. */
#include "tests/heap/lines.h"

#include "shim/heap/base/lock.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LINE_SHIFT 6
#define LINES ((size_t)1 << 18)
#define KEEPERS ((size_t)1024)

/* Two lines that fall on one entry forget each other, which makes counts smaller. */
struct line {
	uintptr_t number;
	uint32_t writer;  /* who wrote it last */
	uint64_t readers; /* others who read it since, a bit for each thread */
};

static struct line lines[LINES];
static _Atomic uint32_t keepers[KEEPERS];
static _Atomic uint32_t threads;
static __thread uint32_t self;

static struct {
	_Atomic uint64_t writes;
	_Atomic uint64_t reads;
	_Atomic uint64_t locks;
} counted;

void lines_read(struct line_counts *counts)
{
	counts->writes = atomic_load(&counted.writes);
	counts->reads = atomic_load(&counted.reads);
	counts->locks = atomic_load(&counted.locks);
}

static bool line_write(struct line *line)
{
	bool is_shared = line->writer != 0 && (line->writer != self || line->readers != 0);

	line->writer = self;
	line->readers = 0;
	return is_shared;
}

static bool line_fetch(struct line *line)
{
	uint64_t bit = (uint64_t)1 << self % 64;
	bool is_far = line->writer != 0 && line->writer != self && (line->readers & bit) == 0;

	if (is_far)
		line->readers |= bit;
	return is_far;
}

static void access_line(uintptr_t number, bool is_write)
{
	size_t at = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 46);
	struct line *line = &lines[at];
	_Atomic uint32_t *keeper = &keepers[at % KEEPERS];
	bool moves;

	while (atomic_exchange_explicit(keeper, 1, memory_order_acquire) != 0)
		sched_yield();
	if (line->number != number)
		*line = (struct line){.number = number};
	moves = is_write ? line_write(line) : line_fetch(line);
	atomic_store_explicit(keeper, 0, memory_order_release);
	if (moves)
		atomic_fetch_add(is_write ? &counted.writes : &counted.reads, 1);
}

static void access_bytes(const volatile void *address, size_t bytes, bool is_write)
{
	uintptr_t first = (uintptr_t)address >> LINE_SHIFT;
	uintptr_t last = ((uintptr_t)address + bytes - 1) >> LINE_SHIFT;

	if (bytes == 0)
		return;
	if (self == 0)
		self = atomic_fetch_add(&threads, 1) + 1;
	if (is_write && address == &lock_takes)
		atomic_fetch_add(&counted.locks, 1);
	for (uintptr_t number = first; number <= last; number++)
		access_line(number, is_write);
}

/* What the heap calls of libc ----------------------------------------------------- */

void *lines_memcpy(void *to, const void *from, size_t bytes);
void *lines_memmove(void *to, const void *from, size_t bytes);
void *lines_memset(void *to, int value, size_t bytes);

void *lines_memcpy(void *to, const void *from, size_t bytes)
{
	return lines_memmove(to, from, bytes);
}

void *lines_memmove(void *to, const void *from, size_t bytes)
{
	access_bytes(from, bytes, false);
	access_bytes(to, bytes, true);
	return memmove(to, from, bytes);
}

void *lines_memset(void *to, int value, size_t bytes)
{
	access_bytes(to, bytes, true);
	return memset(to, value, bytes);
}

/* What the compiler calls ------------------------------------------------------- */

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *address, size_t bytes)
{
	access_bytes(address, bytes, false);
}

void __tsan_write_range(void *address, size_t bytes)
{
	access_bytes(address, bytes, true);
}

void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	atomic_thread_fence(memory_order_seq_cst);
}

void __tsan_atomic_signal_fence(int order)
{
	(void)order;
	atomic_signal_fence(memory_order_seq_cst);
}

#define PLAIN(name, bytes, is_write) \
	void __tsan_##name(void *address); \
	void __tsan_##name(void *address) \
	{ \
		access_bytes(address, bytes, is_write); \
	}

#define PLAINS(bytes) \
	PLAIN(read##bytes, bytes, false) \
	PLAIN(write##bytes, bytes, true)

PLAINS(1)
PLAINS(2)
PLAINS(4)
PLAINS(8)
PLAINS(16)
PLAIN(unaligned_read2, 2, false)
PLAIN(unaligned_read4, 4, false)
PLAIN(unaligned_read8, 8, false)
PLAIN(unaligned_read16, 16, false)
PLAIN(unaligned_write2, 2, true)
PLAIN(unaligned_write4, 4, true)
PLAIN(unaligned_write8, 8, true)
PLAIN(unaligned_write16, 16, true)

/* Orders are as strict as there are. */
#define CHANGE(bits, name) \
	uint##bits##_t __tsan_atomic##bits##_##name( \
		volatile uint##bits##_t *address, uint##bits##_t value, int order); \
	uint##bits##_t __tsan_atomic##bits##_##name( \
		volatile uint##bits##_t *address, uint##bits##_t value, int order) \
	{ \
		(void)order; \
		access_bytes(address, sizeof value, true); \
		return __atomic_##name##_NAME(address, value); \
	}

#define __atomic_exchange_NAME(address, value) __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST)
#define __atomic_fetch_add_NAME(address, value) __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST)
#define __atomic_fetch_sub_NAME(address, value) __atomic_fetch_sub(address, value, __ATOMIC_SEQ_CST)
#define __atomic_fetch_and_NAME(address, value) __atomic_fetch_and(address, value, __ATOMIC_SEQ_CST)
#define __atomic_fetch_or_NAME(address, value) __atomic_fetch_or(address, value, __ATOMIC_SEQ_CST)

#define COMPARE(bits, name) \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile uint##bits##_t *address, \
		uint##bits##_t *expected, uint##bits##_t value, int order, int fail_order); \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile uint##bits##_t *address, \
		uint##bits##_t *expected, uint##bits##_t value, int order, int fail_order) \
	{ \
		(void)order; \
		(void)fail_order; \
		access_bytes(address, sizeof value, true); \
		return __atomic_compare_exchange_n( \
			address, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	}

#define ATOMICS(bits) \
	uint##bits##_t __tsan_atomic##bits##_load( \
		const volatile uint##bits##_t *address, int order); \
	uint##bits##_t __tsan_atomic##bits##_load( \
		const volatile uint##bits##_t *address, int order) \
	{ \
		(void)order; \
		access_bytes(address, sizeof *address, false); \
		return __atomic_load_n(address, __ATOMIC_SEQ_CST); \
	} \
	void __tsan_atomic##bits##_store( \
		volatile uint##bits##_t *address, uint##bits##_t value, int order); \
	void __tsan_atomic##bits##_store( \
		volatile uint##bits##_t *address, uint##bits##_t value, int order) \
	{ \
		(void)order; \
		access_bytes(address, sizeof *address, true); \
		__atomic_store_n(address, value, __ATOMIC_SEQ_CST); \
	} \
	CHANGE(bits, exchange) \
	CHANGE(bits, fetch_add) \
	CHANGE(bits, fetch_sub) \
	CHANGE(bits, fetch_and) \
	CHANGE(bits, fetch_or) \
	COMPARE(bits, strong) \
	COMPARE(bits, weak)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
