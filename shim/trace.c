/* Records what a program asks of malloc. */
#include "shim/trace.h"

#include "shim/environment.h"
#include "shim/heap/base/lock.h"
#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)64 * 1024)
#define FLUSH_NS 1000000000U
#define PID_CHARS 12U /* with the dot and the end */

static struct {
	struct lock lock;
	bool is_on;
	uint64_t before_ns; /* of the record before */
	uint64_t before_address;
	uint64_t flushed_ns;
	uint64_t file_bytes;
	uint32_t threads; /* that have a number */
	uint32_t thread;  /* whose records are being written, its number and 1 */
	size_t length;
	size_t file_chars; /* of path, before the dot */
	/* Mapped when recording is wanted, so that others do not have them: */
	char *path;            /* of PATH_MAX */
	unsigned char *buffer; /* of BUFFER_BYTES */
} trace;

/* The calling thread's number and 1; 0: none yet. */
static __thread uint32_t thread_number;

static long put(int fd, const void *bytes, size_t length)
{
	long done;

	do
		done = kernel_write(fd, bytes, length);
	while (done == -EINTR);
	return done;
}

static struct iovec part(const char *text)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

static void stop(const char *why)
{
	struct iovec parts[] = {part("spillway: trace "), part(trace.path), part(": "), part(why),
		part("; recording stops\n")};

	trace.is_on = false;
	atomic_fetch_and(&worker_attention, ~WORKER_ATTEND_TRACE);
	cache_go_without(false);
	(void)kernel_call(
		SYS_writev, STDERR_FILENO, (long)parts, sizeof parts / sizeof parts[0], 0, 0, 0);
}

/* Over a limit of file sizes, or to a pipe that nobody reads: the signal comes with the error. */
static void swallow(int error)
{
	static const struct timespec at_once;
	sigset_t one;
	long got;

	if (error != EFBIG && error != EPIPE)
		return;
	sigemptyset(&one);
	sigaddset(&one, error == EFBIG ? SIGXFSZ : SIGPIPE);
	do
		got = kernel_call(
			SYS_rt_sigtimedwait, (long)&one, 0, (long)&at_once, _NSIG / 8, 0, 0);
	while (got == -EINTR);
}

/* libc's own words may come from a file in the user's language, and would be allocated. */
static const char *error_text(int error)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{EACCES, "Permission denied"},
		{EDQUOT, "Disk quota exceeded"},
		{EFBIG, "File too large"},
		{EISDIR, "Is a directory"},
		{ELOOP, "Too many levels of symbolic links"},
		{EMFILE, "Too many open files"},
		{ENAMETOOLONG, "File name too long"},
		{ENFILE, "Too many open files in system"},
		{ENOENT, "No such file or directory"},
		{ENOSPC, "No space left on device"},
		{ENOTDIR, "Not a directory"},
		{EPERM, "Operation not permitted"},
		{EPIPE, "Broken pipe"},
		{EROFS, "Read-only file system"},
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].error == error)
			return texts[i].text;
	return "Input/output error";
}

static int flush_to(int fd)
{
	size_t done = 0;

	while (done < trace.length) {
		long put_bytes = put(fd, trace.buffer + done, trace.length - done);

		if (put_bytes > 0) {
			done += (size_t)put_bytes;
			continue;
		}
		swallow((int)-put_bytes);
		/* No half record. */
		(void)kernel_call(SYS_ftruncate, fd, (long)trace.file_bytes, 0, 0, 0, 0);
		return put_bytes < 0 ? (int)-put_bytes : EIO;
	}
	return 0;
}

/* Locked, signals blocked. */
static void flush(uint64_t now_ns)
{
	int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY;
	int fd;
	int error;

	if (trace.file_bytes == 0)
		flags |= O_CREAT | O_TRUNC;
	fd = kernel_open(trace.path, flags, 0600);
	error = fd < 0 ? -fd : flush_to(fd);
	if (fd >= 0)
		kernel_close(fd);
	if (error != 0) {
		stop(error_text(error));
		return;
	}
	trace.file_bytes += trace.length;
	trace.length = 0;
	trace.flushed_ns = now_ns;
}

/* False: nothing is to be recorded. */
static bool enter(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, before) != 0)
		return false;
	lock_take(&trace.lock);
	if (trace.is_on)
		return true;
	lock_drop(&trace.lock);
	sigprocmask(SIG_SETMASK, before, NULL);
	return false;
}

static void leave(const sigset_t *before)
{
	lock_drop(&trace.lock);
	sigprocmask(SIG_SETMASK, before, NULL);
}

static void append_one(struct trace_record *record)
{
	unsigned char *at = trace.buffer + trace.length;

	trace.length = (size_t)(trace_put(at, record, &trace.before_address) - trace.buffer);
}

/* Locked. */
static void append(struct trace_record *record)
{
	uint64_t now_ns = os_now_ns();
	struct trace_record thread = {.op = TRACE_THREAD};

	if (thread_number == 0)
		thread_number = ++trace.threads;
	record->gap_ns = now_ns - trace.before_ns;
	if (trace.thread != thread_number) {
		thread.thread = thread_number - 1;
		append_one(&thread);
	}
	append_one(record);
	trace.thread = thread_number;
	trace.before_ns = now_ns;
	if (now_ns - trace.flushed_ns >= FLUSH_NS ||
		BUFFER_BYTES - trace.length < 2 * (size_t)TRACE_RECORD_BYTES_MAX)
		flush(now_ns);
}

static void record_one(struct trace_record *record)
{
	int saved = errno;
	sigset_t before;

	(void)worker_process_check();
	if (enter(&before)) {
		append(record);
		leave(&before);
	}
	errno = saved;
}

void trace_made(enum trace_op op, size_t alignment, size_t bytes, const void *block)
{
	struct trace_record record = {.op = op, .bytes = bytes, .block = (uintptr_t)block};

	if (block == NULL)
		return;
	if (op == TRACE_MEMALIGN)
		record.alignment_log2 = (unsigned)__builtin_ctzl(alignment);
	record_one(&record);
}

void trace_free(const void *block)
{
	struct trace_record record = {.op = TRACE_FREE, .old = (uintptr_t)block};

	if (block != NULL)
		record_one(&record);
}

void *trace_realloc(void *block, size_t bytes)
{
	struct trace_record record = {
		.op = block == NULL ? TRACE_MALLOC : TRACE_REALLOC,
		.old = (uintptr_t)block,
		.bytes = bytes,
	};
	int saved = errno;
	sigset_t before;

	(void)worker_process_check();
	if (!enter(&before))
		return heap_realloc(block, bytes);
	block = heap_realloc(block, bytes);
	record.block = (uintptr_t)block;
	if (block != NULL)
		append(&record);
	leave(&before);
	errno = saved;
	return block;
}

static void name_file(void)
{
	char digits[PID_CHARS];
	char *at = digits + sizeof digits;
	unsigned pid = (unsigned)getpid();

	*--at = '\0';
	do
		*--at = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	*--at = '.';
	memcpy(trace.path + trace.file_chars, at, (size_t)(digits + sizeof digits - at));
}

/* A new file, of which nothing is there yet. */
static void begin(void)
{
	name_file();
	memcpy(trace.buffer, TRACE_MAGIC, TRACE_HEADER_BYTES);
	trace.length = TRACE_HEADER_BYTES;
	trace.file_bytes = 0;
	trace.before_ns = os_now_ns();
	trace.flushed_ns = trace.before_ns;
	trace.before_address = 0;
	trace.threads = 0;
	trace.thread = 0;
	thread_number = 0;
}

void trace_begin(const char *file)
{
	size_t chars = 0;

	if (file == NULL || os_is_sandboxed())
		return;
	if (trace.buffer == NULL)
		trace.buffer = os_map(BUFFER_BYTES + PATH_MAX, PAGE_BYTES);
	if (trace.buffer == NULL) {
		environment_complain("SPILLWAY_TRACE", file, "room for a buffer of 64K");
		return;
	}
	trace.path = (char *)trace.buffer + BUFFER_BYTES;
	/* The program may go elsewhere. */
	if (file[0] != '/' && kernel_call(SYS_getcwd, (long)trace.path, PATH_MAX, 0, 0, 0, 0) > 0) {
		chars = strlen(trace.path);
		trace.path[chars++] = '/';
	}
	if (file[0] == '\0' || strlen(file) + chars + PID_CHARS > PATH_MAX) {
		environment_complain("SPILLWAY_TRACE", file, "the name of a file, not too long");
		return;
	}
	memcpy(trace.path + chars, file, strlen(file));
	trace.file_chars = chars + strlen(file);
	begin();
	cache_go_without(true);
	trace.is_on = true;
	atomic_fetch_or(&worker_attention, WORKER_ATTEND_TRACE);
}

void trace_fork_child(void)
{
	lock_drop_in_child(&trace.lock);
	if (trace.is_on)
		begin();
}

void trace_before_filter(void)
{
	int saved = errno;
	sigset_t before;

	if (trace_is_on() && enter(&before)) {
		flush(trace.before_ns);
		if (trace.is_on)
			stop("a filter of system calls is in force");
		leave(&before);
	}
	errno = saved;
}

void trace_end(void)
{
	struct trace_record record = {.op = TRACE_END};
	int saved = errno;
	sigset_t before;

	if (trace_is_on() && worker_process_check() == PROCESS_OWN && enter(&before)) {
		append(&record);
		if (trace.is_on)
			flush(trace.before_ns);
		trace.is_on = false;
		atomic_fetch_and(&worker_attention, ~WORKER_ATTEND_TRACE);
		cache_go_without(false);
		leave(&before);
	}
	errno = saved;
}
