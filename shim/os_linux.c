/* What the heap has of Linux: os.h. */
#include "shim/heap/base/os.h"

#include "shim/kernel.h"

#include <errno.h>
#include <fcntl.h>
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
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
/* Linux 6.15: the calling thread's own pidfd without opening one, so that a
 * service that closes every descriptor takes nothing from us. */
#define SELF_PIDFD (-10000)

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	return kernel_call(number, a, b, c, d, e, f);
}

static bool is_error(long result)
{
	return kernel_is_error(result);
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

/* Not filtered; under the filter that all of the container has; under one that may kill. */
enum { SANDBOX_UNKNOWN, SANDBOX_NONE, SANDBOX_CONTAINER, SANDBOX_STRICT };

static _Atomic uint32_t sandbox;
/* Filters that the program has put on itself, and those that it is about to. */
static _Atomic uint32_t filters;
static _Atomic bool clock_is_call;

/*
 * The number after a key in the text of a file that is read piece by piece.  `matched` counts
 * the key's characters that were seen, `value` is -1 before the first digit.
 */
struct field {
	const char *key; /* with the line's end before it, and the colon */
	size_t matched;
	long value;
	bool ended;
};

static void field_feed(struct field *field, char c)
{
	if (field->ended)
		return;
	if (field->key[field->matched] != '\0') {
		field->matched = c == field->key[field->matched] ? field->matched + 1 : c == '\n';
		return;
	}
	if (c >= '0' && c <= '9')
		field->value = (field->value < 0 ? 0 : field->value * 10) + (c - '0');
	else
		field->ended = field->value >= 0;
}

/*
 * Which filters /proc/PID/status tells of: the mode (0 none, 1 strict, 2 by filters) and how many;
 * -1 where it does not say.  The file may be long: it lists the groups of the process.
 */
static void status_read(const char *path, long *mode, long *count)
{
	struct field fields[] = {
		{.key = "\nSeccomp:", .value = -1}, {.key = "\nSeccomp_filters:", .value = -1}};
	char text[512] = "";
	long got = 1;
	long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);

	while (!is_error(fd) && got > 0 && !fields[1].ended) {
		got = call(SYS_read, fd, (long)text, sizeof text, 0, 0, 0);
		for (long i = 0; i < got; i++) {
			field_feed(&fields[0], text[i]);
			field_feed(&fields[1], text[i]);
		}
	}
	if (!is_error(fd))
		call(SYS_close, fd, 0, 0, 0, 0, 0);
	*mode = fields[0].value;
	*count = fields[1].value;
}

static uint32_t sandbox_read(void)
{
	long mode;
	long count;
	long first_mode;
	long first_count;

	status_read("/proc/self/status", &mode, &count);
	if (mode == 0)
		return SANDBOX_NONE;
	if (mode < 0 || count <= 0)
		return SANDBOX_STRICT;
	status_read("/proc/1/status", &first_mode, &first_count);
	return first_mode == mode && first_count == count ? SANDBOX_CONTAINER : SANDBOX_STRICT;
}

/* Whether the clock is read without a system call: so for every source that is a register. */
static bool clock_is_mapped(void)
{
	static const char *const mapped[] = {
		"tsc\n", "kvm-clock\n", "hyperv_clocksource_tsc_page\n", "arch_sys_counter\n"};
	char text[64];

	if (!file_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", text,
		    sizeof text))
		return false;
	for (size_t i = 0; i < sizeof mapped / sizeof mapped[0]; i++)
		if (strcmp(text, mapped[i]) == 0)
			return true;
	return false;
}

static uint32_t sandbox_find(void)
{
	uint32_t unknown = SANDBOX_UNKNOWN;
	uint32_t found = sandbox_read();

	if (found == SANDBOX_STRICT)
		atomic_store(&clock_is_call, !clock_is_mapped());
	atomic_compare_exchange_strong(&sandbox, &unknown, found);
	return atomic_load(&sandbox);
}

static uint32_t sandbox_now(void)
{
	uint32_t now = atomic_load_explicit(&sandbox, memory_order_relaxed);

	return __builtin_expect(now != SANDBOX_UNKNOWN, 1) ? now : sandbox_find();
}

bool os_is_sandboxed(void)
{
	return atomic_load_explicit(&filters, memory_order_relaxed) != 0 ||
	       sandbox_now() == SANDBOX_STRICT;
}

/* No filter at all: every call is as good as on a machine of our own. */
static bool is_free(void)
{
	return atomic_load_explicit(&filters, memory_order_relaxed) == 0 &&
	       sandbox_now() == SANDBOX_NONE;
}

void os_sandbox_enter(void)
{
	if (!os_is_sandboxed())
		atomic_store(&clock_is_call, !clock_is_mapped());
	atomic_fetch_add(&filters, 1);
}

void os_sandbox_leave(void)
{
	atomic_fetch_sub(&filters, 1);
}

/* PR_SET_VMA and PR_SET_VMA_ANON_NAME, of Linux 5.17. */
#define SET_VMA 0x53564d41
#define SET_VMA_NAME 0

/* For /proc/PID/maps.  A kernel that has no names for mappings is asked once. */
static __attribute__((cold, noinline)) void name_set(
	uintptr_t start, size_t bytes, const char *name)
{
	static _Atomic bool is_missing;

	if (atomic_load_explicit(&is_missing, memory_order_relaxed) || os_is_sandboxed())
		return;
	if (call(SYS_prctl, SET_VMA, SET_VMA_NAME, (long)start, (long)bytes, (long)name, 0) ==
		-EINVAL)
		atomic_store_explicit(&is_missing, true, memory_order_relaxed);
}

#define NAME_RESERVED "spillway heap"
#define NAME_MAPPED "spillway block"

static void *map_aligned(size_t bytes, size_t alignment, int access, int flags)
{
	size_t slack = alignment > os_page_bytes() ? alignment - os_page_bytes() : 0;
	uintptr_t start;
	uintptr_t aligned;
	long got;

	if (bytes > SIZE_MAX - slack)
		return NULL;
	got = call(SYS_mmap, 0, (long)(bytes + slack), access, MAP_PRIVATE | MAP_ANONYMOUS | flags,
		-1, 0);
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
	name_set(aligned, bytes, access == PROT_NONE ? NAME_RESERVED : NAME_MAPPED);
	return (void *)aligned;
}

void *os_reserve(size_t bytes, size_t alignment)
{
	return map_aligned(bytes, alignment, PROT_NONE, MAP_NORESERVE);
}

void *os_map(size_t bytes, size_t alignment)
{
	return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE, 0);
}

int os_unmap(void *start, size_t bytes)
{
	return (int)call(SYS_munmap, (long)start, (long)bytes, 0, 0, 0, 0);
}

static int remap(void *start, size_t bytes, size_t new_bytes, int flags, void *to)
{
	long got = call(SYS_mremap, (long)start, (long)bytes, (long)new_bytes, flags, (long)to, 0);

	return is_error(got) ? (int)got : 0;
}

int os_map_resize(void *start, size_t bytes, size_t new_bytes)
{
	return remap(start, bytes, new_bytes, 0, NULL);
}

int os_map_move(void *start, size_t bytes, void *to, size_t new_bytes)
{
	return remap(start, bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

int os_move_pages(void *start, size_t bytes, void *to)
{
	/* It would unlock all of the old mapping.  This advice does little, and is refused in
	 * locked memory as others are. */
	long locked = call(SYS_madvise, (long)start, (long)os_page_bytes(), MADV_COLD, 0, 0, 0);

	if (is_error(locked))
		return (int)locked;
	return remap(start, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
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
	name_set((uintptr_t)got, bytes, NAME_RESERVED);
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
	name_set((uintptr_t)start, bytes, NAME_RESERVED);
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

	if (count == 1 || atomic_load_explicit(&is_missing, memory_order_relaxed) || !is_free())
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
#define HUGE_BYTES_LINE "2097152\n"

bool os_has_huge_pages(void)
{
	char text[64];

	if (os_page_bytes() != OS_PAGE_BYTES_MIN)
		return false;
	if (!os_is_sandboxed() && call(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0) != 0)
		return false;
	if (!file_read(HUGE_PAGES "hpage_pmd_size", text, sizeof text) ||
		strcmp(text, HUGE_BYTES_LINE) != 0)
		return false;
	return file_read(HUGE_PAGES "enabled", text, sizeof text) &&
	       strstr(text, "[never]") == NULL;
}

void os_touch(void *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += os_page_bytes())
		((volatile char *)start)[at] = 0;
}

bool os_tells_resident(void)
{
	return is_free();
}

/* Of pages that are asked for at once, which is on the stack. */
struct answers {
	unsigned char page[OS_RESIDENT_PAGES_MAX];
};

static bool ask_resident(const void *start, size_t bytes, struct answers *answers)
{
	return os_tells_resident() &&
	       call(SYS_mincore, (long)start, (long)bytes, (long)answers->page, 0, 0, 0) == 0;
}

size_t os_resident_bytes(const void *start, size_t bytes)
{
	size_t page_bytes = os_page_bytes();
	size_t most = OS_RESIDENT_PAGES_MAX * page_bytes;
	struct answers answers = {0};
	size_t resident = 0;

	for (size_t at = 0; at < bytes; at += most) {
		size_t part = bytes - at < most ? bytes - at : most;

		if (!ask_resident((const unsigned char *)start + at, part, &answers))
			return bytes;
		for (size_t i = 0; i < part / page_bytes; i++)
			resident += (answers.page[i] & 1) * page_bytes;
	}
	return resident;
}

size_t os_resident_pages(const void *start, size_t pages, uint64_t *resident)
{
	struct answers answers = {0};
	bool known = ask_resident(start, pages * OS_PAGE_BYTES_MIN, &answers);
	size_t count = 0;

	for (size_t i = 0; i < pages; i++) {
		bool is_there = !known || (answers.page[i] & 1) != 0;

		if (i % 64 == 0)
			resident[i / 64] = 0;
		resident[i / 64] |= (uint64_t)is_there << i % 64;
		count += is_there;
	}
	return count;
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
	if (!os_is_sandboxed())
		call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
}

uint32_t os_thread_id(void)
{
	static _Atomic uint32_t last;
	uint32_t id;

	do
		id = (atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1) & INT32_MAX;
	while (id == 0);
	return id;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t os_now_ns(void)
{
	/* The coarse one is a variable of the kernel's, whatever the source. */
	return clock_ns(
		__builtin_expect(atomic_load_explicit(&clock_is_call, memory_order_relaxed), 0)
			? CLOCK_MONOTONIC_COARSE
			: CLOCK_MONOTONIC);
}

uint64_t os_now_coarse_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t os_cpu_ns(void)
{
	struct timespec spent;

	if (os_is_sandboxed())
		return os_now_ns();
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
