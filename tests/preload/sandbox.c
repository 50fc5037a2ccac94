/* A program under a filter of system calls that kills for all but what glibc's malloc needs. */
#include "tests/preload/check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>

#define BLOCKS 4096U
#define BLOCK_BYTES ((size_t)24 * KIB)
#define THREADS 3

static void *blocks[BLOCKS];
static _Atomic bool filtered;
static _Atomic uint32_t ready;

/* What glibc's malloc calls, and the program: it writes and exits. */
#define FOR_MALLOC \
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, \
		SYS_getrandom, SYS_openat, SYS_read, SYS_close, SYS_write, SYS_exit_group

static const uint16_t for_malloc[] = {FOR_MALLOC};
/* And the start of a program. */
static const uint16_t for_start[] = {
	FOR_MALLOC,
	SYS_execve,
	SYS_pread64,
	SYS_newfstatat,
	SYS_faccessat,
	SYS_set_tid_address,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_prlimit64,
#ifdef __x86_64__
	SYS_access,
	SYS_arch_prctl,
#endif
};
/* And the end of a thread. */
static const uint16_t for_threads[] = {
	FOR_MALLOC, SYS_exit, SYS_rt_sigprocmask, SYS_sched_getaffinity};

struct calls {
	const uint16_t *numbers;
	size_t count;
};

#define CALLS(array) ((struct calls){array, sizeof(array) / sizeof(array)[0]})

enum way { BY_PRCTL, BY_SECCOMP, BY_TSYNC };

static void install(enum way way, struct calls calls)
{
	static struct sock_filter code[64];
	struct sock_fprog filter = {.filter = code};
	size_t at = 0;

	code[at++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < calls.count; i++) {
		code[at++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, calls.numbers[i], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	filter.len = (unsigned short)at;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (way == BY_PRCTL)
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	else
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      way == BY_TSYNC ? SECCOMP_FILTER_FLAG_TSYNC : 0, &filter) == 0);
}

/* As a container's: all is allowed but for some calls, of which two must not be tried. */
static void install_containers(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

/* Growth, small and large; holes that are given back; copies; what the figures say. */
static void use_malloc(void)
{
	char *large = NULL;

	for (size_t i = 0; i < BLOCKS; i++)
		memset(blocks[i] = check_opaque(malloc(BLOCK_BYTES)), 1, BLOCK_BYTES);
	for (size_t i = 0; i < BLOCKS; i += 2)
		free(blocks[i]);
	malloc_trim(0);
	CHECK(mallinfo2().uordblks >= BLOCKS / 2 * BLOCK_BYTES);
	for (size_t i = 1; i < BLOCKS; i += 2) {
		CHECK(((char *)blocks[i])[BLOCK_BYTES / 2] == 1);
		free(blocks[i]);
	}
	for (size_t bytes = 10; bytes < 40 * MIB; bytes *= 3) {
		large = check_opaque(realloc(large, bytes));
		CHECK(large != NULL);
		memset(large, 2, bytes);
	}
	free(large);
	free(check_opaque(calloc(1000, 1000)));
	free(check_opaque(aligned_alloc(64 * KIB, MIB)));
	malloc_trim(0);
}

static void wait_for_worker(void)
{
	check_churn(200, 100 * KIB);
	CHECK_SOON(30, check_worker() != 0);
}

/* Ends under the filter, having used the heap before, meanwhile and after. */
static void *churn(void *unused)
{
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&filtered))
		check_churn(50, 3000);
	check_churn(100, 30000);
	malloc_trim(0);
	return unused;
}

static void with_threads(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
	while (atomic_load(&ready) < THREADS)
		sched_yield();
	install(BY_TSYNC, CALLS(for_threads));
	atomic_store(&filtered, true);
	check_churn(1000, 20000);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	use_malloc();
}

/*
 * sandbox WAY [after]: the filter is put on by WAY, before the heap grows or after the
 * scavenger's thread has begun.
 * sandbox threads: for all of several threads, which end under it.
 * sandbox exec LIBRARY: it is there from the start of a program that has the library.
 * sandbox container LIBRARY: so is another, which process 1 has as well; then the scavenger's
 * thread begins.
 */
int main(int count, char **arguments)
{
	static const char *const ways[] = {"prctl", "seccomp", "tsync"};
	int way = 0;

	CHECK(count > 1);
	if (strcmp(arguments[1], "use") == 0) {
		use_malloc();
		return 0;
	}
	if (strcmp(arguments[1], "contained") == 0) {
		wait_for_worker();
		use_malloc();
		return 0;
	}
	if (strcmp(arguments[1], "container") == 0) {
		CHECK(setenv("LD_PRELOAD", arguments[2], 1) == 0);
		install_containers();
		execl(arguments[0], arguments[0], "contained", NULL);
		CHECK(!"exec");
	}
	check_hang();
	if (strcmp(arguments[1], "threads") == 0) {
		with_threads();
		return 0;
	}
	if (strcmp(arguments[1], "exec") == 0) {
		CHECK(setenv("LD_PRELOAD", arguments[2], 1) == 0);
		install(BY_PRCTL, CALLS(for_start));
		execl(arguments[0], arguments[0], "use", NULL);
		CHECK(!"exec");
	}
	while (way < 3 && strcmp(arguments[1], ways[way]) != 0)
		way++;
	CHECK(way < 3);
	if (count > 2)
		wait_for_worker();
	install((enum way)way, CALLS(for_malloc));
	use_malloc();
	return 0;
}
