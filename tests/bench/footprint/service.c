/* What footprint/run starts many of: says that it runs and waits.  Also the loop that starts them
 * without a supervisor. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

/* A byte into the fifo for each that has come as far as its main. */
static int serve(const char *fifo)
{
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "", 1) != 1)
		return EXIT_FAILURE;
	close(fd);
	for (;;)
		pause();
}

/* The fewest steps in which so many processes can be started: a loop of posix_spawn. */
static int spawn(char *program, char *fifo, unsigned long count)
{
	char *words[] = {program, fifo, NULL};
	pid_t *pid = calloc(count, sizeof *pid);
	if (pid == NULL)
		return EXIT_FAILURE;
	for (unsigned long i = 0; i < count; i++)
		if (posix_spawn(&pid[i], program, NULL, NULL, words, environ) != 0)
			pid[i] = 0;
	/* Until the bench closes our stdin. */
	char ignored;
	while (read(STDIN_FILENO, &ignored, 1) > 0)
		;
	for (unsigned long i = 0; i < count; i++)
		if (pid[i] > 0)
			kill(pid[i], SIGKILL);
	free(pid);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return serve(argv[1]);
	if (argc == 4 && strcmp(argv[1], "spawn") == 0)
		return spawn(argv[0], argv[2], strtoul(argv[3], NULL, 10));
	fprintf(stderr, "usage: service FIFO | service spawn FIFO COUNT\n");
	return EXIT_FAILURE;
}
