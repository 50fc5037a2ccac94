#include "shim/spillway.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/*
 * A signal's handler forks, whatever it interrupts: POSIX had fork among what a
 * handler may call until 2024, and programs that tell of their crashes do it.
 * glibc's malloc is no obstacle to that in a program of one thread.  With an
 * argument, eager is in force, where forks give back first; or the program forks all the time, so
 * that the handler interrupts fork: beside the scavenger's thread, which glibc counts as a second
 * one.
 */
static volatile sig_atomic_t forks;

static void on_timer(int number)
{
	int status;
	pid_t child = fork();

	(void)number;
	if (child == 0)
		_exit(0);
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	forks = forks + 1;
}

static void fork_once(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	CHECK(child > 0);
	while (waitpid(child, &status, 0) != child)
		CHECK(errno == EINTR);
	CHECK(status == 0);
}

int main(int count, char **arguments)
{
	struct itimerval often = {.it_interval = {.tv_usec = 300}, .it_value = {.tv_usec = 300}};
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	sig_atomic_t most = (sig_atomic_t)check_soak(300);

	bool by_fork = count == 2 && strcmp(arguments[1], "fork") == 0;

	if (count == 2 && !by_fork)
		CHECK(spillway_set_level(SPILLWAY_EAGER) == 0);
	check_hang();
	check_churn(100, 100 * KIB);
	CHECK(sigaction(SIGPROF, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	while (forks < most) {
		check_churn(100, 3000);
		check_churn(20, 200 * KIB);
		for (int i = 0; by_fork && i < 5; i++)
			fork_once();
	}
	return 0;
}
