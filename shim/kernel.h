#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * System calls without libc's wrappers, for everything that malloc and free may reach.
 *
 * libc's open, read, write, close and their like are cancellation points: a thread with a
 * pending cancellation would end there, inside malloc, perhaps with a lock of ours held.
 * These are none, and they leave errno alone: the result, or -errno.
 *
 * tests/support/check_symbols holds that the library imports no cancellation point at all.
 */
static inline long kernel_call(long number, long a, long b, long c, long d, long e, long f)
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

static inline bool kernel_is_error(long result)
{
	return result < 0 && result >= -4095;
}

/* mode: only with O_CREAT. */
static inline int kernel_open(const char *path, int flags, unsigned mode)
{
	return (int)kernel_call(SYS_openat, AT_FDCWD, (long)path, flags, (long)mode, 0, 0);
}

static inline long kernel_read(int fd, void *bytes, size_t length)
{
	return kernel_call(SYS_read, fd, (long)bytes, (long)length, 0, 0, 0);
}

static inline long kernel_write(int fd, const void *bytes, size_t length)
{
	return kernel_call(SYS_write, fd, (long)bytes, (long)length, 0, 0, 0);
}

static inline void kernel_close(int fd)
{
	(void)kernel_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* libc's fstat and stat are in glibc's shared library only since 2.33.  struct stat is the kernel's
 * on both architectures, in glibc and in musl.  0 or -errno; *status is zeros then. */
static inline int kernel_fstat(int fd, struct stat *status)
{
	*status = (struct stat){0};
	return (int)kernel_call(SYS_fstat, fd, (long)status, 0, 0, 0, 0);
}

static inline int kernel_stat(const char *path, struct stat *status)
{
	*status = (struct stat){0};
	return (int)kernel_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)status, 0, 0, 0);
}

#endif
