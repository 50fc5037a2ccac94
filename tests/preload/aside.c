#include "tests/preload/check.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/*
 * The scavenger's thread steps aside for calls that act on one thread only, and comes back with
 * what they changed.  argument: which call.  Exits with 77 where the kernel refuses such calls to
 * programs without our thread, too.
 */
static int capset_call(
	struct __user_cap_header_struct *header, const struct __user_cap_data_struct *data)
{
	extern int capset(
		struct __user_cap_header_struct * head, const struct __user_cap_data_struct *caps);

	return capset(header, data);
}

static void use_heap(void)
{
	check_churn(300, 100 * KIB);
}

static long worker_number(const char *key, int base)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/status", check_worker());
	return check_proc_number(path, key, base);
}

static bool worker_shares_namespace(void)
{
	char path[64];
	char own[64] = "";
	char other[64] = "";

	snprintf(path, sizeof path, "/proc/self/task/%d/ns/user", check_worker());
	return readlink("/proc/self/ns/user", own, sizeof own - 1) > 0 &&
	       readlink(path, other, sizeof other - 1) > 0 && strcmp(own, other) == 0;
}

static unsigned tasks(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	CHECK(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

/* The kernel lets a child without any thread have a user namespace. */
static bool kernel_allows_unshare(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0)
		_exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	return status == 0;
}

static void leave_namespace(bool by_number)
{
	if (!kernel_allows_unshare())
		_exit(77);
	CHECK((by_number ? syscall(SYS_unshare, CLONE_NEWUSER) : unshare(CLONE_NEWUSER)) == 0);
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
	CHECK_SOON(10, worker_shares_namespace());
}

static void filter(bool by_number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
	CHECK(worker_number("NoNewPrivs", 10) == 1);
	/* How libseccomp asks what the kernel can do: this is no filter. */
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT);
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
	CHECK((by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
			 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) == 0);
	for (int i = 0; i < 20; i++)
		use_heap();
	CHECK(tasks() == 1);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	CHECK(capset_call(&header, none) == 0);
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
	CHECK(worker_number("CapPrm", 16) == 0);
}

/* The child of a vfork has the memory of its parent, whose thread is none of its business. */
static void vfork_child(void)
{
	int thread = check_worker();
	int status;
	pid_t child = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

	CHECK(child >= 0);
	if (child == 0)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 7 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	use_heap();
	CHECK(check_worker() == thread);
}

static void fail(void)
{
	errno = 0;
	CHECK(unshare(1) == -1 && errno == EINVAL);
	CHECK(setns(-1, 0) == -1 && errno == EBADF);
	CHECK(syscall(SYS_setns, -1, 0) == -1 && errno == EBADF);
	CHECK(prctl(PR_SET_SECCOMP, 99, NULL) == -1 && errno == EINVAL);
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
	CHECK(syscall(SYS_getpid) == getpid());
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
}

static void affinity(const cpu_set_t *all)
{
	cpu_set_t now;

	CHECK_SOON(10,
		sched_getaffinity(check_worker(), sizeof now, &now) == 0 && CPU_EQUAL(&now, all));
}

int main(int count, char **arguments)
{
	const char *what = count > 1 ? arguments[1] : "";
	cpu_set_t all;
	cpu_set_t one;

	check_hang();
	CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
	CPU_ZERO(&one);
	for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	if (strcmp(what, "affinity") == 0)
		CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
	CHECK_SOON(10, (use_heap(), check_worker() != 0));
	if (strcmp(what, "affinity") == 0)
		affinity(&all);
	else if (strncmp(what, "unshare", 7) == 0)
		leave_namespace(strcmp(what, "unshare-by-number") == 0);
	else if (strncmp(what, "filter", 6) == 0)
		filter(strcmp(what, "filter-by-number") == 0);
	else if (strcmp(what, "capset") == 0)
		drop_capabilities();
	else if (strcmp(what, "vfork") == 0)
		vfork_child();
	else
		fail();
	return 0;
}
