#include "tests/preload/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * A fork meets a thread that flushes all streams, which meets one that owns a
 * stream and allocates.  libc's fork takes the lock of all streams after the fork
 * handlers ran.  The flusher has that lock and waits for the stream; its owner
 * must get its memory although the fork has begun, or all three wait for ever.
 */
static FILE *stream;
static pthread_barrier_t owned;
static _Atomic pid_t flusher;
static _Atomic pid_t forker;

static bool is_asleep(pid_t thread)
{
	char path[64];
	char text[64] = "";
	int fd;

	if (thread == 0)
		return false;
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return strstr(text, ") S ") != NULL;
}

/* Waits in a call that ends with the flush, as the next line says it does. */
static void *flush(void *unused)
{
	pthread_barrier_wait(&owned);
	atomic_store(&flusher, (pid_t)syscall(SYS_gettid));
	CHECK(fflush(NULL) == 0);
	return unused;
}

static void *fork_once(void *unused)
{
	int status;
	pid_t child;

	CHECK_SOON(10, is_asleep(atomic_load(&flusher)));
	atomic_store(&forker, (pid_t)syscall(SYS_gettid));
	child = fork();
	if (child == 0) {
		/* Streams and the heap work here. */
		free(check_opaque(malloc(10 * MIB)));
		fprintf(stream, "child");
		_exit(fflush(NULL));
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	return unused;
}

int main(void)
{
	pthread_t threads[2];

	check_hang();
	stream = tmpfile();
	CHECK(stream != NULL && fputs("text", stream) >= 0);
	CHECK(pthread_barrier_init(&owned, NULL, 2) == 0);
	CHECK(pthread_create(&threads[0], NULL, flush, NULL) == 0);
	CHECK(pthread_create(&threads[1], NULL, fork_once, NULL) == 0);
	flockfile(stream);
	pthread_barrier_wait(&owned);
	CHECK_SOON(10, atomic_load(&forker) != 0 && is_asleep(atomic_load(&forker)));
	check_churn(2000, 200);
	check_churn(10, MIB);
	funlockfile(stream);
	CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
	CHECK(fclose(stream) == 0);
	return 0;
}
