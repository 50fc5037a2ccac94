/* Removes the pages of processes that were killed, so that their number is bounded. */
#include "shim/share_dead.h"

#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/share_page.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define READS_MAX 64
#define ENTRIES_BYTES 16384U

/* As the kernel lays it out. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short bytes;
	unsigned char type;
	char name[];
};

struct dead {
	uint64_t pid;
	uint64_t start_ticks;
};

/* Mapped, since stacks may be small. */
struct room {
	char entries[ENTRIES_BYTES];
	char name[SHARE_NAME_BYTES];
	struct dead kept[SHARE_DEAD_KEPT];
	size_t count;
	uint64_t pid_namespace;
	int fd;
};

#define ROOM_BYTES ((sizeof(struct room) + 65535) / 65536 * 65536)

/* The decimal number at *text, which ends with `end`; moves *text behind it. */
static bool number_take(const char **text, char end, uint64_t *value)
{
	size_t digits = strspn(*text, "0123456789");

	if (digits == 0 || digits > 18 || (*text)[digits] != end)
		return false;
	*value = 0;
	for (size_t i = 0; i < digits; i++)
		*value = *value * 10 + (uint64_t)((*text)[i] - '0');
	*text += digits + (end != '\0');
	return true;
}

static bool name_parse(const char *name, uint64_t pid_namespace, struct dead *process)
{
	uint64_t of = 0;

	if (strncmp(name, SHARE_NAME_PREFIX, sizeof SHARE_NAME_PREFIX - 1) != 0)
		return false;
	name += sizeof SHARE_NAME_PREFIX - 1;
	return number_take(&name, '.', &of) && of == pid_namespace &&
	       number_take(&name, '.', &process->pid) && process->pid <= INT32_MAX &&
	       process->pid > 0 && number_take(&name, '\0', &process->start_ticks);
}

static bool is_dead(const struct dead *process)
{
	return kernel_call(SYS_kill, (long)process->pid, 0, 0, 0, 0, 0) == -ESRCH;
}

static void file_remove(struct room *room, const struct dead *process)
{
	snprintf(room->name, sizeof room->name, SHARE_NAME_PREFIX "%llu.%llu.%llu",
		(unsigned long long)room->pid_namespace, (unsigned long long)process->pid,
		(unsigned long long)process->start_ticks);
	(void)kernel_call(SYS_unlinkat, room->fd, (long)room->name, 0, 0, 0, 0);
}

/* Keeps it in the place of the oldest, which goes; or it goes itself. */
static void dead_add(struct room *room, struct dead process)
{
	struct dead *oldest = room->kept;

	if (room->count < SHARE_DEAD_KEPT) {
		room->kept[room->count++] = process;
		return;
	}
	for (size_t i = 1; i < room->count; i++)
		if (room->kept[i].start_ticks < oldest->start_ticks)
			oldest = &room->kept[i];
	if (oldest->start_ticks < process.start_ticks) {
		struct dead older = *oldest;

		*oldest = process;
		process = older;
	}
	file_remove(room, &process);
}

static void entries_look(struct room *room, size_t length)
{
	for (size_t at = 0; at < length;) {
		const struct entry *entry = (const void *)(room->entries + at);
		struct dead process;

		if (name_parse(entry->name, room->pid_namespace, &process) && is_dead(&process))
			dead_add(room, process);
		at += entry->bytes;
	}
}

void share_dead_remove(const char *directory, uint64_t pid_namespace)
{
	struct room *room = os_map(ROOM_BYTES, os_page_bytes());
	long length = 1;

	if (room == NULL)
		return;
	room->pid_namespace = pid_namespace;
	room->fd = kernel_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	for (int i = 0; room->fd >= 0 && length > 0 && i < READS_MAX; i++) {
		length = kernel_call(
			SYS_getdents64, room->fd, (long)room->entries, ENTRIES_BYTES, 0, 0, 0);
		if (length > 0)
			entries_look(room, (size_t)length);
	}
	if (room->fd >= 0)
		kernel_close(room->fd);
	os_unmap(room, ROOM_BYTES);
}
