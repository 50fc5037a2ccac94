#ifndef TESTS_PRELOAD_GLIBC_H
#define TESTS_PRELOAD_GLIBC_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * What glibc's own tests of malloc expect of their surroundings, as far as those
 * use it that glibc.sh runs.  The names are glibc's; what they do is told by the
 * tests' use of them.
 */

/* support/check.h */

static int glibc_failures;

#define GLIBC_FAIL(...) \
	(printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"), \
		(void)fflush(stdout), (void)glibc_failures++)
#define FAIL_EXIT1(...) (GLIBC_FAIL(__VA_ARGS__), exit(1))
#define TEST_VERIFY(condition) ((condition) ? (void)0 : GLIBC_FAIL("not so: %s", #condition))
#define TEST_VERIFY_EXIT(condition) ((condition) ? (void)0 : FAIL_EXIT1("not so: %s", #condition))
#define TEST_COMPARE(a, b) TEST_VERIFY((a) == (b))

/* Those that succeed or end the test. */
static inline void glibc_require(bool success, const char *what)
{
	if (!success)
		FAIL_EXIT1("%s: %s", what, strerror(errno));
}

static inline void glibc_require_zero(int error, const char *what)
{
	errno = error;
	glibc_require(error == 0, what);
}

/* support/support.h */

static inline void *xmalloc(size_t size)
{
	void *block = malloc(size);

	glibc_require(block != NULL, "malloc");
	return block;
}

static inline void *xcalloc(size_t count, size_t size)
{
	void *block = calloc(count, size);

	glibc_require(block != NULL, "calloc");
	return block;
}

static inline void write_message(const char *message)
{
	ssize_t unread = write(STDOUT_FILENO, message, strlen(message));

	(void)unread;
}

static inline void ignore_stderr(void)
{
	int nowhere = open("/dev/null", O_WRONLY);

	glibc_require(nowhere >= 0 && dup2(nowhere, STDERR_FILENO) >= 0, "ignore_stderr");
}

static inline void *xmmap(void *at, size_t bytes, int protection, int flags, int fd)
{
	void *got = mmap(at, bytes, protection, flags, fd, 0);

	glibc_require(got != MAP_FAILED, "mmap");
	return got;
}

/* Shared with children; its size lies before it. */
static inline void *support_shared_allocate(size_t bytes)
{
	size_t *at =
		xmmap(NULL, bytes + 64, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1);

	*at = bytes + 64;
	return at + 64 / sizeof *at;
}

static inline void support_shared_free(void *block)
{
	size_t *at = (size_t *)block - 64 / sizeof *at;

	glibc_require(munmap(at, *at) == 0, "munmap");
}

/* support/xunistd.h, support/xsignal.h */

static inline pid_t xfork(void)
{
	pid_t child = fork();

	glibc_require(child >= 0, "fork");
	return child;
}

static inline long xsysconf(int name)
{
	long value = sysconf(name);

	glibc_require(value >= 0, "sysconf");
	return value;
}

static inline void xsignal(int number, void (*handler)(int number))
{
	glibc_require(signal(number, handler) != SIG_ERR, "signal");
}

/* support/xthread.h */

static inline pthread_t xpthread_create(
	pthread_attr_t *attributes, void *(*run)(void *argument), void *argument)
{
	pthread_t thread;

	glibc_require_zero(pthread_create(&thread, attributes, run, argument), "pthread_create");
	return thread;
}

static inline void *xpthread_join(pthread_t thread)
{
	void *result;

	glibc_require_zero(pthread_join(thread, &result), "pthread_join");
	return result;
}

static inline void xpthread_kill(pthread_t thread, int number)
{
	glibc_require_zero(pthread_kill(thread, number), "pthread_kill");
}

static inline void xpthread_barrier_init(
	pthread_barrier_t *barrier, pthread_barrierattr_t *attributes, unsigned count)
{
	glibc_require_zero(pthread_barrier_init(barrier, attributes, count), "barrier_init");
}

static inline int xpthread_barrier_wait(pthread_barrier_t *barrier)
{
	int result = pthread_barrier_wait(barrier);

	glibc_require(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD, "barrier_wait");
	return result;
}

static inline void xpthread_barrier_destroy(pthread_barrier_t *barrier)
{
	glibc_require_zero(pthread_barrier_destroy(barrier), "barrier_destroy");
}

static inline void xpthread_barrierattr_init(pthread_barrierattr_t *attributes)
{
	glibc_require_zero(pthread_barrierattr_init(attributes), "barrierattr_init");
}

static inline void xpthread_barrierattr_setpshared(pthread_barrierattr_t *attributes, int shared)
{
	glibc_require_zero(pthread_barrierattr_setpshared(attributes, shared), "setpshared");
}

static inline void xpthread_barrierattr_destroy(pthread_barrierattr_t *attributes)
{
	glibc_require_zero(pthread_barrierattr_destroy(attributes), "barrierattr_destroy");
}

/* support/temp_file.h: gone when the test ends. */

static char glibc_temporary[300];

static inline void glibc_remove(void)
{
	unlink(glibc_temporary);
}

static inline int create_temp_file(const char *base, char **name)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	snprintf(glibc_temporary, sizeof glibc_temporary, "%s/%s.XXXXXX",
		folder != NULL ? folder : "/tmp", base);
	fd = mkstemp(glibc_temporary);
	glibc_require(fd >= 0, "create_temp_file");
	glibc_require(atexit(glibc_remove) == 0, "atexit");
	if (name != NULL)
		*name = strdup(glibc_temporary);
	return fd;
}

/* support/test-driver.h, array_length.h, libc-diag.h, malloc-size.h */

#define DEFAULT_TIMEOUT 20
#define EXIT_UNSUPPORTED 77
#define array_length(array) (sizeof(array) / sizeof *(array))
#define DIAG_PUSH_NEEDS_COMMENT
#define DIAG_POP_NEEDS_COMMENT
#define DIAG_IGNORE_NEEDS_COMMENT(version, option)
#define MALLOC_ALIGN_MASK ((size_t)15)

/* The manual calls errno indeterminate here; glibc sets it, and a test reads it. */
static inline int glibc_posix_memalign(void **block, size_t alignment, size_t size)
{
	errno = posix_memalign(block, alignment, size);
	return errno;
}

/*
 * The main of every test: in a child, so that it may have to end by a signal, and
 * so that nothing of it is left.  A test's own limit is one of CPU time here, and ten
 * times as long: how much it needs depends on what else the machine does.  The
 * alarm is against a hang.
 */
static inline int glibc_main(int (*test)(void), int seconds, int signal_wanted)
{
	int status = 0;
	pid_t child;

	setvbuf(stdout, NULL, _IOLBF, 0);
	child = xfork();
	if (child == 0) {
		setpgid(0, 0);
		setrlimit(RLIMIT_CPU, &(struct rlimit){(rlim_t)seconds * 10, RLIM_INFINITY});
		alarm(1800);
		exit(test() != 0 || glibc_failures != 0);
	}
	setpgid(child, child);
	glibc_require(waitpid(child, &status, 0) == child, "waitpid");
	kill(-child, SIGKILL);
	if (WIFSIGNALED(status) && WTERMSIG(status) == signal_wanted)
		return 0;
	if (WIFSIGNALED(status))
		printf("ended by signal %d\n", WTERMSIG(status));
	return signal_wanted != 0 || status != 0;
}

#endif
