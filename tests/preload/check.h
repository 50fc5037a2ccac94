#ifndef TESTS_PRELOAD_CHECK_H
#define TESTS_PRELOAD_CHECK_H

#include "tests/support/patience.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the tiny programs share.  A program that finds everything as it should be exits with 0. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

/* The compiler knows malloc's rules and must not use that knowledge here. */
static __attribute__((noinline, unused)) void *check_opaque(void *ptr)
{
	__asm__ volatile("" : "+r"(ptr) : : "memory");
	return ptr;
}

static __attribute__((noinline, unused)) size_t check_hidden(size_t size)
{
	__asm__ volatile("" : "+r"(size));
	return size;
}

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

/* How often a load that lasts a few seconds is to be repeated: SOAK times as often as usual. */
static inline size_t check_soak(size_t count)
{
	const char *factor = getenv("SOAK");

	return factor != NULL && atol(factor) > 0 ? count * (size_t)atol(factor) : count;
}

static inline double check_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Polls until condition holds, with a deadline that stretches with the load: patience.h. */
#define CHECK_SOON(seconds, condition) CHECK(WAIT_UNTIL(seconds, condition))

/* Ends a program that hangs; on no machine is it reached otherwise. */
static inline void check_hang(void)
{
	alarm(600);
}

/* Blocks that were written to, then freed: count of bytes each. */
static inline void check_churn(size_t count, size_t bytes)
{
	void **blocks = malloc(count * sizeof *blocks);

	CHECK(blocks != NULL);
	for (size_t i = 0; i < count; i++) {
		blocks[i] = check_opaque(malloc(bytes));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 0x5a, bytes);
	}
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	free(blocks);
}

/* A number after "KEY:" at the start of a line of a file of /proc; -1 without.  Allocates nothing.
 */
static inline long check_proc_number(const char *path, const char *key, int base)
{
	char text[8192];
	char wanted[64];
	const char *at;
	ssize_t length;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof text - 1);
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	snprintf(wanted, sizeof wanted, "\n%s:", key);
	at = strstr(text, wanted);
	return at == NULL ? -1 : strtol(at + strlen(wanted), NULL, base);
}

/*
 * Whether a thread of a process, which may be our own, sleeps on a futex without
 * a deadline: it does not wake unless it is woken.
 */
static inline bool check_sleeps_for_good(pid_t pid, int thread)
{
	char path[64];
	char text[256];
	const char *at = text;
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)pid, thread);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	length = read(fd, text, sizeof text - 1);
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	/* The call's number, then its arguments; the deadline is the fourth. */
	if (strtol(text, NULL, 10) != SYS_futex)
		return false;
	for (int i = 0; at != NULL && i < 4; i++) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	return at != NULL && strncmp(at, "0x0 ", 4) == 0;
}

/* How often a thread of a process began to run; -1 without such a thread. */
static inline long check_wakeups(pid_t pid, int thread)
{
	char path[64];
	long voluntary;

	snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, thread);
	voluntary = check_proc_number(path, "voluntary_ctxt_switches", 10);
	return voluntary < 0
		       ? -1
		       : voluntary + check_proc_number(path, "nonvoluntary_ctxt_switches", 10);
}

/* The id of this process's thread of that name, 0 without. */
static inline int check_thread(const char *wanted)
{
	char path[300];
	char name[32];
	struct dirent *entry;
	int found = 0;
	DIR *tasks = opendir("/proc/self/task");

	if (tasks == NULL)
		return 0;
	while (found == 0 && (entry = readdir(tasks)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof name, file) != NULL) {
			name[strcspn(name, "\n")] = '\0';
			found = strcmp(name, wanted) == 0 ? atoi(entry->d_name) : 0;
		}
		fclose(file);
	}
	closedir(tasks);
	return found;
}

/* That of the scavenger. */
static inline int check_worker(void)
{
	return check_thread("spillway");
}

#endif
