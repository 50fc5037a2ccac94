#ifndef SHIM_HEAP_BASE_OS_H
#define SHIM_HEAP_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All that the heap needs from a kernel.  shim/os_linux.c makes it of raw
 * system calls; tests/support/fake_os.c wraps that and can refuse the N-th
 * call.  Ranges are whole pages.  0 is success, else -errno; errno is not
 * touched.
 */

#define OS_PAGE_BYTES_MIN 4096U

size_t os_page_bytes(void);

/* Address space that is not usable yet, aligned, never backed by huge pages that nobody asked for;
 * NULL where there is none. */
void *os_reserve(size_t bytes, size_t alignment);
/* The same at this very place, for what grows: something else lies there, or the process may not
 * have so much. */
enum os_reserved { OS_RESERVED, OS_OCCUPIED, OS_REFUSED };
enum os_reserved os_reserve_at(void *start, size_t bytes);
/* Makes reserved pages readable and writable, zero when first touched. */
int os_commit(void *start, size_t bytes);
/* Back to reserved pages, which lie in no core file and are not charged where memory is not
 * overcommitted.  -ENOMEM: the process has too many mappings. */
int os_decommit(void *start, size_t bytes);
/* For reserved pages that were never handed out. */
void os_unreserve(void *start, size_t bytes);

/*
 * Memory of its own at once: readable, writable, zero, aligned.  The kernel charges it as it
 * does a program's own mappings, and refuses what is more than the machine has (NULL), where
 * os_commit grants any size.
 */
void *os_map(size_t bytes, size_t alignment);
/* Any whole pages of os_map's, or of a reservation. */
int os_unmap(void *start, size_t bytes);
/* The mapping ends earlier, or later where the addresses behind it are free. */
int os_map_resize(void *start, size_t bytes, size_t new_bytes);
/* The mapping goes over the reserved range of new_bytes at `to`, which may be longer; nothing
 * stays behind.  Only page tables move.  On failure nothing changed. */
int os_map_move(void *start, size_t bytes, void *to, size_t new_bytes);
/* As os_map_move, but the old range stays mapped, and reads as zero.  Refused before Linux 5.7
 * and in locked memory. */
int os_move_pages(void *start, size_t bytes, void *to);

enum os_advice {
	OS_FREE,     /* MADV_FREE: content lost when the kernel wants the page */
	OS_DONTNEED, /* MADV_DONTNEED: not resident, zero when touched again */
	OS_POPULATE, /* MADV_POPULATE_WRITE: resident now; -EINVAL before Linux 5.14 */
	OS_HUGE,     /* MADV_HUGEPAGE: may be backed by huge pages from now on */
	OS_SMALL,    /* MADV_NOHUGEPAGE: no longer, but for those that are there */
	OS_ADVICES
};

struct os_range {
	void *start;
	size_t bytes;
};

/* Up to OS_RANGES_MAX ranges in one call where the kernel has process_madvise on
 * self for it, else one by one.  What failed is left as it was. */
#define OS_RANGES_MAX 64
int os_advise(const struct os_range *ranges, size_t count, enum os_advice advice);

/* Whether OS_HUGE has an effect here: pages of 4 KiB, and huge ones of 2 MiB that are not switched
 * off.
 */
bool os_has_huge_pages(void);

/* Writes to each kernel page of a range, which makes them resident. */
void os_touch(void *start, size_t bytes);

/* How much of a range is resident; all of it where the kernel does not say.  What is in swap is
 * not. */
size_t os_resident_bytes(const void *start, size_t bytes);

/* False where that may not be asked, and all counts as resident. */
bool os_tells_resident(void);

/* The same by bits, where pages have OS_PAGE_BYTES_MIN: which of so many, how many. */
#define OS_RESIDENT_PAGES_MAX 512U
size_t os_resident_pages(const void *start, size_t pages, uint64_t *resident);

/*
 * A filter of system calls may be in force that kills for a call that the
 * process never makes itself.  Then this file's functions make only the calls
 * that glibc's malloc makes: mmap, munmap, mremap, mprotect, madvise and futex.  What is not
 * to be had that way says so: os_fence_threads with -EPERM, os_resident_bytes
 * with all.
 *
 * Asking the kernel by a call is no way to know, since the question itself may
 * kill.  /proc/self/status, which is read once, by the constructor, tells what the process
 * was started with: openat, read and close are what every program starts
 * with.  Sandboxed is:
 *
 *	no filter			no
 *	as many filters as process 1	no: all of a container is under them, and those
 *					of containers refuse and do not kill; membarrier is
 *					tried, process_madvise and mincore are not
 *	other filters			yes: what systemd's SystemCallFilter= does
 *	no /proc			yes
 *
 * Later it is yes from os_sandbox_enter on, which is called before the program
 * puts a filter on itself (aside.h).  A program that does so by an
 * instruction of its own, not through libc, is not noticed.
 */
bool os_is_sandboxed(void);
/* The program is about to put a filter on itself; and could not. */
void os_sandbox_enter(void);
void os_sandbox_leave(void);

/*
 * Every other thread of this process executes a full memory fence before this
 * returns (membarrier, Linux 4.14).  Not 0 where that cannot be had.  The first
 * call costs milliseconds in a process with threads; os_fence_prepare, called
 * while there is but one, takes that away.
 */
int os_fence_threads(void);
void os_fence_prepare(void);

/* A number that no other living thread of this process was given, not 0, below 2^31; each call
 * gives another.  Not the kernel's: gettid is a call that filters may lack. */
uint32_t os_thread_id(void);

/* CLOCK_MONOTONIC; and the same as of the last timer tick, some milliseconds old and nearly free.
 */
uint64_t os_now_ns(void);
uint64_t os_now_coarse_ns(void);

/* What the calling thread has spent of a CPU; stays 0 where that cannot be had.  In a sandbox the
 * clock on the wall stands in, since this one is never read without a system call. */
uint64_t os_cpu_ns(void);

/* Sleeps while *word == expected, at most so long (UINT64_MAX: for ever).  Spurious wakes happen.
 */
void os_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void os_wake(const uint32_t *word, uint32_t count);

/* One line on stderr, then abort. */
_Noreturn void os_panic(const char *what, const void *address);

#endif
