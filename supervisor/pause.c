/* An init without a command of its own: catatonit's -P. */
#include "supervisor/pause.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

int pause_run(void)
{
	const struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t awaited;
	sigset_t all;
	int number;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGINT);
	sigaddset(&awaited, SIGCHLD);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* Their default does not drop them while they are blocked, as ignoring may. */
	sigaction(SIGTERM, &plain, NULL);
	sigaction(SIGINT, &plain, NULL);
	sigaction(SIGCHLD, &plain, NULL);
	do {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		number = sigwaitinfo(&awaited, NULL);
	} while (number == SIGCHLD || (number < 0 && errno == EINTR));
	return number > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
