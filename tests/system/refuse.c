/* refuse WHAT COMMAND...: runs a command for which a filter refuses AF_UNIX sockets or getrandom.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* As a container's filter that knows the Internet only. */
static struct sock_filter no_unix[] = {
	LOAD(nr),
	UNLESS(SYS_socket, 3),
	LOAD(args[0]),
	UNLESS(AF_UNIX, 1),
	REFUSE(EPERM),
	LOAD(nr),
	UNLESS(SYS_socketpair, 1),
	REFUSE(EPERM),
	ALLOW,
};

/* As an old one, that knows no such call. */
static struct sock_filter no_getrandom[] = {
	LOAD(nr),
	UNLESS(SYS_getrandom, 1),
	REFUSE(ENOSYS),
	ALLOW,
};

int main(int argc, char **argv)
{
	const struct sock_fprog filters[] = {
		{.len = sizeof no_unix / sizeof no_unix[0], .filter = no_unix},
		{.len = sizeof no_getrandom / sizeof no_getrandom[0], .filter = no_getrandom},
	};
	if (argc < 3)
		return 2;
	const struct sock_fprog *filter = &filters[strcmp(argv[1], "getrandom") == 0];
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter) != 0) {
		perror("refuse");
		return 77;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
