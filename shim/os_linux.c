#include "shim/heap/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

/* Values that headers of Linux 5.10 lack. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
/* Linux 6.15: the calling thread's own pidfd without opening one, so that a
 * service that closes every descriptor takes nothing from us. */
#define SELF_PIDFD (-10000)

/* -errno or the result; errno itself is not touched. */
static long call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "system calls of this architecture are not written yet"
#endif
}

static bool is_error(long result)
{
	return result < 0 && result >= -4095;
}

size_t os_page_bytes(void)
{
	static _Atomic size_t page_bytes;
	size_t bytes = atomic_load_explicit(&page_bytes, memory_order_relaxed);

	if (bytes == 0) {
		bytes = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&page_bytes, bytes, memory_order_relaxed);
	}
	return bytes;
}

bool os_is_sandboxed(void)
{
	static _Atomic long at_start = -1;
	long now = call(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0);
	long unknown = -1;

	return !atomic_compare_exchange_strong(&at_start, &unknown, now) && unknown != now;
}

void *os_reserve(size_t bytes, size_t alignment)
{
	size_t slack = alignment > os_page_bytes() ? alignment - os_page_bytes() : 0;
	uintptr_t start;
	uintptr_t aligned;
	long got;

	if (bytes > SIZE_MAX - slack)
		return NULL;
	got = call(SYS_mmap, 0, (long)(bytes + slack), PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (is_error(got))
		return NULL;
	start = (uintptr_t)got;
	aligned = (start + alignment - 1) & ~(alignment - 1);
	if (aligned != start)
		call(SYS_munmap, (long)start, (long)(aligned - start), 0, 0, 0, 0);
	if (aligned + bytes != start + bytes + slack)
		call(SYS_munmap, (long)(aligned + bytes), (long)(start + slack - aligned), 0, 0, 0,
			0);
	call(SYS_madvise, (long)aligned, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
	return (void *)aligned;
}

enum os_reserved os_reserve_at(void *start, size_t bytes)
{
	long got = call(SYS_mmap, (long)start, (long)bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (is_error(got))
		return got == -EEXIST ? OS_OCCUPIED : OS_REFUSED;
	/* Before Linux 4.17 the flag is not known and the place is a wish. */
	if (got != (long)start) {
		call(SYS_munmap, got, (long)bytes, 0, 0, 0, 0);
		return OS_OCCUPIED;
	}
	call(SYS_madvise, got, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
	return OS_RESERVED;
}

int os_commit(void *start, size_t bytes)
{
	return (int)call(SYS_mprotect, (long)start, (long)bytes, PROT_READ | PROT_WRITE, 0, 0, 0);
}

int os_decommit(void *start, size_t bytes)
{
	long got = call(SYS_mmap, (long)start, (long)bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (is_error(got))
		return (int)got;
	call(SYS_madvise, got, (long)bytes, MADV_NOHUGEPAGE, 0, 0, 0);
	return 0;
}

void os_unreserve(void *start, size_t bytes)
{
	call(SYS_munmap, (long)start, (long)bytes, 0, 0, 0, 0);
}

static int advise_one(const struct os_range *range, int behaviour)
{
	long result;

	do
		result = call(
			SYS_madvise, (long)range->start, (long)range->bytes, behaviour, 0, 0, 0);
	while (result == -EAGAIN || result == -EINTR);
	return (int)result;
}

/*
 * Advises the ranges in as few calls as the kernel allows; a call may end after
 * a part.  Returns how many bytes it did, which fall short where this kernel
 * cannot do it at all.
 */
static size_t advise_batched(const struct os_range *ranges, size_t count, int behaviour)
{
	static _Atomic bool is_missing;
	struct iovec vector[OS_RANGES_MAX];
	size_t total = 0;
	size_t done = 0;
	size_t first = 0;

	if (count == 1 || atomic_load_explicit(&is_missing, memory_order_relaxed) ||
		os_is_sandboxed())
		return 0;
	for (size_t i = 0; i < count; i++) {
		vector[i] = (struct iovec){ranges[i].start, ranges[i].bytes};
		total += ranges[i].bytes;
	}
	while (done < total) {
		long result = call(SYS_process_madvise, SELF_PIDFD, (long)(vector + first),
			(long)(count - first), behaviour, 0, 0);
		size_t step = result > 0 ? (size_t)result : 0;

		if (result == -EINTR || result == -EAGAIN)
			continue;
		if (result == -EBADF || result == -EPERM || result == -ENOSYS ||
			(result == -EINVAL && done == 0))
			atomic_store_explicit(&is_missing, true, memory_order_relaxed);
		if (step == 0)
			break;
		done += step;
		for (; first < count && step >= vector[first].iov_len; first++)
			step -= vector[first].iov_len;
		if (first < count) {
			vector[first].iov_base = (char *)vector[first].iov_base + step;
			vector[first].iov_len -= step;
		}
	}
	return done;
}

int os_advise(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	static const int behaviours[] = {
		[OS_FREE] = MADV_FREE,
		[OS_DONTNEED] = MADV_DONTNEED,
		[OS_POPULATE] = MADV_POPULATE_WRITE,
		[OS_HUGE] = MADV_HUGEPAGE,
		[OS_SMALL] = MADV_NOHUGEPAGE,
	};
	int behaviour = behaviours[advice];
	size_t done = 0;
	int error = 0;

	if (advice <= OS_DONTNEED && count <= OS_RANGES_MAX)
		done = advise_batched(ranges, count, behaviour);
	for (size_t i = 0; i < count; i++) {
		int result;

		if (done >= ranges[i].bytes) {
			done -= ranges[i].bytes;
			continue;
		}
		done = 0;
		result = advise_one(&ranges[i], behaviour);
		if (result != 0)
			error = result;
	}
	return error;
}

#define HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/"
#define HUGE_BYTES 2097152U

/* What a file of the kernel says, cut to the text's size; false: nothing. */
static bool file_read(const char *path, char *text, size_t bytes)
{
	long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long got;

	if (is_error(fd))
		return false;
	got = call(SYS_read, fd, (long)text, (long)bytes - 1, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (is_error(got))
		return false;
	text[got] = '\0';
	return true;
}

bool os_has_huge_pages(void)
{
	char text[64];

	if (os_page_bytes() != OS_PAGE_BYTES_MIN ||
		call(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0) != 0)
		return false;
	if (!file_read(HUGE_PAGES "hpage_pmd_size", text, sizeof text) ||
		strtoul(text, NULL, 10) != HUGE_BYTES)
		return false;
	return file_read(HUGE_PAGES "enabled", text, sizeof text) &&
	       strstr(text, "[never]") == NULL;
}

void os_touch(void *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += os_page_bytes())
		((volatile char *)start)[at] = 0;
}

/* Pages asked for at once; their answers are on the stack. */
#define RESIDENT_PAGES 512

size_t os_resident_bytes(const void *start, size_t bytes)
{
	size_t page_bytes = os_page_bytes();
	unsigned char answers[RESIDENT_PAGES] = {0};
	size_t resident = 0;

	if (os_is_sandboxed())
		return bytes;
	for (size_t at = 0; at < bytes; at += RESIDENT_PAGES * page_bytes) {
		size_t left = bytes - at;
		size_t part =
			left < RESIDENT_PAGES * page_bytes ? left : RESIDENT_PAGES * page_bytes;

		if (call(SYS_mincore, (long)start + (long)at, (long)part, (long)answers, 0, 0, 0) !=
			0)
			return bytes;
		for (size_t i = 0; i < part / page_bytes; i++)
			resident += (answers[i] & 1) * page_bytes;
	}
	return resident;
}

int os_fence_threads(void)
{
	long result;

	if (os_is_sandboxed())
		return -EPERM;
	result = call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
	if (result == -EPERM) {
		os_fence_prepare();
		result = call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
	}
	return (int)result;
}

void os_fence_prepare(void)
{
	call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
}

uint32_t os_thread_id(void)
{
	return (uint32_t)call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t os_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t os_now_coarse_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t os_cpu_ns(void)
{
	struct timespec spent;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) != 0)
		return 0;
	return (uint64_t)spent.tv_sec * 1000000000U + (uint64_t)spent.tv_nsec;
}

void os_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000U),
		.tv_nsec = (long)(timeout_ns % 1000000000U),
	};

	call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)expected,
		timeout_ns == UINT64_MAX ? 0 : (long)&timeout, 0, 0);
}

void os_wake(const uint32_t *word, uint32_t count)
{
	long most = count > INT32_MAX ? INT32_MAX : (long)count;

	call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, most, 0, 0, 0);
}

void os_panic(const char *what, const void *address)
{
	static const char digits[] = "0123456789abcdef";
	char line[160];
	size_t length = strnlen(what, sizeof line - 24);
	uintptr_t rest = (uintptr_t)address;
	int shift = 60;

	memcpy(line, what, length);
	line[length++] = ' ';
	line[length++] = '0';
	line[length++] = 'x';
	while (shift > 0 && (rest >> shift) == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		line[length++] = digits[rest >> shift & 15];
	line[length++] = '\n';
	(void)call(SYS_write, STDERR_FILENO, (long)line, (long)length, 0, 0, 0);
	abort();
}
