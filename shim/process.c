/* Tells the process that libc knows from copies of it. */
#include "shim/process.h"

#include "shim/heap/base/os.h"
#include "shim/kernel.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands for the pid where a filter of system calls may kill for getpid. */
#define PID_UNKNOWN (-1)

#define STAT_FIELD_STATE 3
#define STAT_FIELD_START 22

static _Atomic int *process_pid;

void process_init(void)
{
	size_t bytes = os_page_bytes();
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	madvise(page, bytes, MADV_WIPEONFORK);
	process_pid = page;
	process_adopt();
}

enum process_kind process_kind(void)
{
	int noted;
	int none = 0;
	int pid = PID_UNKNOWN;

	if (process_pid == NULL)
		return PROCESS_BORROWED;
	noted = atomic_load_explicit(process_pid, memory_order_relaxed);
	if (!os_is_sandboxed())
		pid = getpid();
	else if (noted != 0)
		pid = noted;
	if (noted == pid)
		return PROCESS_OWN;
	if (atomic_compare_exchange_strong(process_pid, &none, pid))
		return PROCESS_FORKED;
	return none == pid ? PROCESS_OWN : PROCESS_BORROWED;
}

void process_adopt(void)
{
	if (process_pid != NULL)
		atomic_store(process_pid, os_is_sandboxed() ? PID_UNKNOWN : getpid());
}

/* Digits at text as a number; 0 where there are none or too many. */
static uint64_t number_parse(const char *text)
{
	uint64_t value = 0;

	for (int digits = 0; *text >= '0' && *text <= '9'; text++, digits++) {
		if (digits == 19)
			return 0;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	return value;
}

uint64_t process_start_ticks(void)
{
	char text[1024];
	const char *at;
	long length;
	int fd = kernel_open("/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	length = kernel_read(fd, text, sizeof text - 1);
	kernel_close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	/* The command's name may hold spaces and brackets; nothing after it does. */
	at = strrchr(text, ')');
	for (int field = STAT_FIELD_STATE - 1; at != NULL && field < STAT_FIELD_START; field++) {
		at = strchr(at, ' ');
		if (at != NULL)
			at++;
	}
	return at == NULL ? 0 : number_parse(at);
}

uint64_t process_pid_namespace(void)
{
	struct stat status;

	return kernel_stat("/proc/self/ns/pid", &status) == 0 ? (uint64_t)status.st_ino : 0;
}
