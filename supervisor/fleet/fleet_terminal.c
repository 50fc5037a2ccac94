/* The terminal that a wrapped command is given, and what becomes of it. */
#include "supervisor/fleet/fleet_private.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The terminal is handed on only by those who have it: a wrapper started in the
 * background must not take it from the shell. */
bool fleet_terminal_is_ours(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* The kernel tells the session of a leader that does so HUP and CONT, which are about nothing that
 * the command would want to know.  They are pending when the call returns. */
void fleet_terminal_give_up(void)
{
	const struct timespec now = {0};
	sigset_t told;
	if (ioctl(STDIN_FILENO, TIOCNOTTY) != 0 || getsid(0) != getpid())
		return;
	sigemptyset(&told);
	sigaddset(&told, SIGHUP);
	sigaddset(&told, SIGCONT);
	while (sigtimedwait(&told, NULL, &now) > 0)
		;
}

/* The terminal has stopped the command, which the shell that started us does not see: it
 * sees us.  So we stop as well, and go on together when it wants us to.  A session
 * leader has no such shell. */
static void suspend(struct fleet *fleet)
{
	pid_t group = fleet->service[0]->pid;
	if (getsid(0) != getpid()) {
		tcsetpgrp(STDIN_FILENO, getpgrp());
		kill(getpid(), SIGSTOP);
		if (tcgetpgrp(STDIN_FILENO) == getpgrp())
			tcsetpgrp(STDIN_FILENO, group);
	}
	kill(-group, SIGCONT);
}

void fleet_terminal_note_stop(struct fleet *fleet)
{
	siginfo_t info = {0};
	if (!fleet->host.take_terminal || !fleet->service[0]->lives)
		return;
	if (waitid(P_PID, (id_t)fleet->service[0]->pid, &info, WSTOPPED | WNOHANG) != 0)
		return;
	if (info.si_pid != 0 && (info.si_status == SIGTSTP || info.si_status == SIGTTIN ||
					info.si_status == SIGTTOU))
		suspend(fleet);
}
