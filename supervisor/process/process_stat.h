#ifndef SUPERVISOR_PROCESS_PROCESS_STAT_H
#define SUPERVISOR_PROCESS_PROCESS_STAT_H

#include <stdint.h>
#include <sys/types.h>

/* What is used of /proc/PID/stat. */
struct process_stat {
	char state;           /* field 3 */
	pid_t parent;         /* 4 */
	pid_t group;          /* 5 */
	uint64_t threads;     /* 20 */
	uint64_t start_ticks; /* 22 */
};

/* proc_fd is a descriptor of /proc (or of a test's).  0; -ENOENT or -ESRCH: there is no such
 * process; -EINVAL: the text is none; or another -errno. */
int process_stat_read(int proc_fd, pid_t pid, struct process_stat *stat);

#endif
