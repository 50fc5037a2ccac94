#ifndef TESTS_SUPPORT_PANIC_H
#define TESTS_SUPPORT_PANIC_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One line, and what an emulator says of the signal. */
static inline bool panic_is_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end != NULL && (end[1] == '\0' || strncmp(end + 1, "qemu: ", 6) == 0);
}

/* Whether act(arg), in a child, ends by SIGABRT after one line on stderr that begins like this. */
static inline bool panic_says(void (*act)(void *arg), void *arg, const char *begins)
{
	char text[512] = "";
	size_t length = 0;
	ssize_t got;
	int status = 0;
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		return false;
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		act(arg);
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	waitpid(child, &status, 0);
	if (strncmp(text, begins, strlen(begins)) != 0 || !panic_is_line(text))
		fprintf(stderr, "# status %d, said: %s\n", status, text);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	       strncmp(text, begins, strlen(begins)) == 0 && panic_is_line(text);
}

#endif
