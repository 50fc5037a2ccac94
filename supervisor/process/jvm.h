#ifndef SUPERVISOR_PROCESS_JVM_H
#define SUPERVISOR_PROCESS_JVM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Commands to a running HotSpot JVM, as jcmd sends them, without a JDK.
 *
 * The attach protocol, version 1: a file .attach_pidN in the /tmp that the process sees, or in its
 * working directory, with SIGQUIT, has the JVM listen on the socket /tmp/.java_pidN.  N is its
 * number in its own PID namespace.  A request is "1", "jcmd", the command and two empty words, each
 * ended by a NUL.  The answer is a number in a line, 0 = done, and a text, until the end of the
 * stream.  The JVM obeys its own user and root.
 *
 * SIGQUIT ends a process that does not handle it.  It is sent only where libjvm.so is mapped, the
 * signal is caught and the command line does not disable attaching, through a descriptor of the
 * process, so that no other process can get it.  A JVM that does not listen afterwards has
 * written a dump of its threads to its stdout: the caller must not try that process again.
 *
 * What the process says and what lies in its /tmp is untrusted: nothing there is followed or
 * overwritten, the answer is read up to a bound, and every wait has a deadline.
 */

#define JVM_ANSWER_BYTES 128

struct jvm_command {
	pid_t pid;
	const char *command;     /* such as "GC.run" */
	uint64_t until_ms;       /* on CLOCK_MONOTONIC */
	const atomic_bool *stop; /* true: give up soon */
};

/* Blocks.  0, and the beginning of the answer, one line, in answer.  -ENOEXEC: no JVM that can be
 * attached to; nothing was done to it.  -EPROTO: the JVM refused; answer says why.  -ETIMEDOUT: it
 * does not listen.  -EINPROGRESS: it has the command, and takes longer.  -ECANCELED, or another
 * -errno. */
int jvm_command(const struct jvm_command *command, char answer[static JVM_ANSWER_BYTES]);

/* The same two questions for texts that are given, for tests.  status is /proc/PID/status. */
bool jvm_catches_quit(const char *status);
/* The last number of NSpid; 0 where there is none. */
pid_t jvm_own_pid(const char *status);

#endif
