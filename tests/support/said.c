/* Keeps stderr in a memory file, so that a test can ask what was logged. */

#include "tests/support/said.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEXT_BYTES ((size_t)1 << 20)

/* Above what a test refuses and counts. */
#define KEPT_FD_MIN 900

/* A sanitizer reports to the real stderr: it ends the test, and nobody would read what was kept. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
void __sanitizer_set_report_fd(void *fd);
#define REPORT_TO(fd) __sanitizer_set_report_fd((void *)(intptr_t)(fd))
#else
#define REPORT_TO(fd) ((void)(fd))
#endif

static int kept_fd = -1;
static int stderr_fd = -1;

static void fail(const char *what)
{
	perror(what);
	abort();
}

/* Moves a descriptor out of the way of those under test. */
static int lift(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FD_MIN);
	if (fd < 0 || high < 0)
		fail("said");
	return high;
}

void said_begin(void)
{
	/* Not memfd_create: a test may wrap it. */
	int fd = (int)syscall(SYS_memfd_create, "said", 0U);
	kept_fd = lift(fd);
	close(fd);
	stderr_fd = lift(STDERR_FILENO);
	if (dup2(kept_fd, STDERR_FILENO) < 0)
		fail("said");
	REPORT_TO(stderr_fd);
}

void said_end(void)
{
	if (stderr_fd < 0)
		return;
	dup2(stderr_fd, STDERR_FILENO);
	REPORT_TO(STDERR_FILENO);
	close(stderr_fd);
	close(kept_fd);
	stderr_fd = -1;
	kept_fd = -1;
}

void said_clear(void)
{
	if (ftruncate(kept_fd, 0) != 0 || lseek(kept_fd, 0, SEEK_SET) != 0)
		fail("said");
}

static const char *read_all(void)
{
	static char text[TEXT_BYTES];
	ssize_t length = pread(kept_fd, text, sizeof text - 1, 0);
	text[length > 0 ? (size_t)length : 0] = '\0';
	return text;
}

size_t said(const char *text)
{
	size_t count = 0;
	for (const char *at = read_all(); (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

void said_show(void)
{
	if (stderr_fd < 0)
		return;
	const char *text = read_all();
	ssize_t ignored = write(stderr_fd, text, strlen(text));
	(void)ignored;
}
