#include "tests/preload/check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define BLOCKS 4096U
#define BLOCK_BYTES ((size_t)48 * KIB)
#define KILL_ON(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void *blocks[BLOCKS];

static void sandbox(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		KILL_ON(SYS_process_madvise),
		KILL_ON(SYS_clone),
		KILL_ON(SYS_clone3),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void fill(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		memset(blocks[i] = check_opaque(malloc(BLOCK_BYTES)), 1, BLOCK_BYTES);
}

/* Growth, and a release of many ranges, in a process that is killed for calls it does not make
 * itself.  With an argument the sandbox comes first. */
int main(int count, char **argument)
{
	(void)argument;
	if (count > 1)
		sandbox();
	fill();
	if (count == 1)
		sandbox();
	for (size_t i = 0; i < BLOCKS; i += 2)
		free(blocks[i]);
	CHECK(malloc_trim(0) == 1);
	for (size_t i = 1; i < BLOCKS; i += 2)
		CHECK(((char *)blocks[i])[BLOCK_BYTES / 2] == 1);
	return 0;
}
