/* Works on one cgroup through a descriptor of its directory. */
#include "supervisor/cgroup/cgroup_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/cgroup/cgroup_files.h"

#define MOVE_ROUNDS 64
#define POLL_MS 20
#define LIST_TEXT_BYTES 4096

int cgroup_directory_open(const char *path, int *fd)
{
	int opened = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (opened < 0)
		return -errno;
	*fd = opened;
	return 0;
}

int cgroup_directory_write(int fd, const char *file, const char *text)
{
	int error = 0;
	int file_fd = openat(fd, file, O_WRONLY | O_CLOEXEC);
	if (file_fd < 0)
		return -errno;
	if (write(file_fd, text, strlen(text)) < 0)
		error = -errno;
	close(file_fd);
	return error;
}

int cgroup_directory_write_bytes(int fd, const char *file, uint64_t bytes)
{
	char text[32];
	if (bytes == UINT64_MAX)
		return cgroup_directory_write(fd, file, "max");
	snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
	return cgroup_directory_write(fd, file, text);
}

int cgroup_directory_read(int fd, const char *file, char *text, size_t size)
{
	int file_fd = openat(fd, file, O_RDONLY | O_CLOEXEC);
	if (file_fd < 0)
		return -errno;
	int length = cgroup_files_read(file_fd, text, size);
	close(file_fd);
	return length;
}

bool cgroup_directory_hands_out(int fd, const char *controller)
{
	char text[512];
	char *state = NULL;
	if (cgroup_directory_read(fd, "cgroup.subtree_control", text, sizeof text) < 0)
		return false;
	for (char *word = strtok_r(text, " \n", &state); word != NULL;
		word = strtok_r(NULL, " \n", &state))
		if (strcmp(word, controller) == 0)
			return true;
	return false;
}

/* The numbers of a list that arrives in pieces.  What no pid can be counts as 0. */
struct list {
	bool in_number;
	uint64_t number;
	int (*each)(pid_t pid, void *context);
	void *context;
};

static int list_take(struct list *list, const char *text, size_t length)
{
	int result = 0;
	for (size_t i = 0; i < length && result == 0; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			list->in_number = true;
			if (list->number <= INT_MAX)
				list->number = list->number * 10 + (uint64_t)(text[i] - '0');
		} else if (list->in_number) {
			result = list->each(
				list->number <= INT_MAX ? (pid_t)list->number : 0, list->context);
			list->in_number = false;
			list->number = 0;
		}
	}
	return result;
}

/* Nothing is allocated: our way back to where we came from leads through here.  A read that fails,
 * as in a threaded cgroup, is an error: a cgroup whose processes cannot be listed must not look
 * like one that has none. */
int cgroup_directory_each(int fd, int (*each)(pid_t pid, void *context), void *context)
{
	char text[LIST_TEXT_BYTES];
	struct list list = {.each = each, .context = context};
	ssize_t length;
	int result = 0;
	int file_fd = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (file_fd < 0)
		return -errno;
	do {
		length = read(file_fd, text, sizeof text);
		if (length > 0)
			result = list_take(&list, text, (size_t)length);
		else if (length < 0 && errno != EINTR)
			result = -errno;
	} while (result == 0 && length != 0);
	close(file_fd);
	return result;
}

int cgroup_directory_move(int to_fd, pid_t pid)
{
	char text[32];
	snprintf(text, sizeof text, "%ld", (long)pid);
	return cgroup_directory_write(to_fd, "cgroup.procs", text);
}

struct move {
	int to_fd;
	unsigned moved;
	int refused; /* -errno of the last */
};

static int move_one(pid_t pid, void *context)
{
	struct move *move = context;
	/* Writing 0 would move ourselves. */
	int error = pid == 0 ? -ESRCH : cgroup_directory_move(move->to_fd, pid);
	if (error == 0)
		move->moved++;
	else if (pid == 0 || error != -ESRCH) /* else it has ended meanwhile */
		move->refused = error;
	return 0;
}

int cgroup_directory_move_all(int from_fd, int to_fd)
{
	/* Those that forked while being listed are found in the next round. */
	for (unsigned round = 0; round < MOVE_ROUNDS; round++) {
		struct move move = {.to_fd = to_fd};
		int error = cgroup_directory_each(from_fd, move_one, &move);
		if (error != 0)
			return error;
		if (move.moved == 0)
			return move.refused;
	}
	return -EBUSY;
}

struct shot {
	int signal;
	int count;
};

static int signal_one(pid_t pid, void *context)
{
	struct shot *shot = context;
	if (pid > 0 && kill(pid, shot->signal) == 0)
		shot->count++;
	return 0;
}

int cgroup_directory_signal(int fd, int signal)
{
	struct shot shot = {.signal = signal};
	int error = cgroup_directory_each(fd, signal_one, &shot);
	return error != 0 ? error : shot.count;
}

bool cgroup_directory_empty(int fd)
{
	char text[256];
	uint64_t populated = 1;
	int length = cgroup_directory_read(fd, "cgroup.events", text, sizeof text);
	if (length < 0)
		return length == -ENOENT || length == -ENODEV;
	return cgroup_text_key(text, (size_t)length, "populated", &populated) && populated == 0;
}

bool cgroup_directory_wait_empty(int fd, uint32_t wait_ms)
{
	uint64_t until_ms = clock_now_ms() + wait_ms;
	for (;;) {
		if (cgroup_directory_empty(fd))
			return true;
		uint64_t now_ms = clock_now_ms();
		if (now_ms >= until_ms)
			return false;
		uint64_t left_ms = until_ms - now_ms;
		poll(NULL, 0, left_ms < POLL_MS ? (int)left_ms : POLL_MS);
	}
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	if (type == FTW_DP && place->level > 0)
		rmdir(path);
	return 0;
}

void cgroup_directory_remove_below(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
