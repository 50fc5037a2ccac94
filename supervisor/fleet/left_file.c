/* Keeps the state for a later supervisor in a directory of our own, which is locked. */
#include "supervisor/fleet/left_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/chore.h"

#define STATE "state"
#define STATE_NEW "state.new"
/* Some 20 000 services. */
#define STATE_BYTES_MOST (8U << 20)

/* What the thread writes. */
struct note {
	int fd; /* the directory */
	char *text;
	size_t length;
	int error;
};

struct left_file {
	int parent_fd;
	int fd; /* locked */
	char name[24];
	struct chore *chore; /* NULL = nothing was written yet */
};

/* FNV-1a: it names a directory, and no more. */
static uint64_t hash(const char *text)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);
	for (; *text != '\0'; text++)
		value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return value;
}

/* A directory of ours that nobody else may write to. */
static int open_own(int parent_fd, const char *name)
{
	struct stat status;
	if (mkdirat(parent_fd, name, S_IRWXU) != 0 && errno != EEXIST)
		return -errno;
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &status) == 0 ? 0 : -errno;
	if (error == 0 &&
		(status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0))
		error = -EPERM;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int open_parent(void)
{
	const char *const bases[] = {"/run", getenv("XDG_RUNTIME_DIR")};
	int fd = -ENOENT;
	for (size_t i = 0; fd < 0 && i < sizeof bases / sizeof bases[0]; i++) {
		if (bases[i] == NULL || bases[i][0] != '/')
			continue;
		int base_fd = open(bases[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (base_fd < 0)
			continue;
		fd = open_own(base_fd, "spillway");
		close(base_fd);
	}
	return fd;
}

/* -EAGAIN: its owner was just about to remove it. */
static int lock(struct left_file *file)
{
	struct stat ours;
	struct stat there;
	file->fd = open_own(file->parent_fd, file->name);
	if (file->fd < 0)
		return file->fd;
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? -EALREADY : -errno;
	if (fstat(file->fd, &ours) == 0 &&
		fstatat(file->parent_fd, file->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		ours.st_ino == there.st_ino)
		return 0;
	close(file->fd);
	file->fd = -1;
	return -EAGAIN;
}

static void drop(struct left_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->parent_fd >= 0)
		close(file->parent_fd);
	free(file);
}

int left_file_open(const char *config_path, struct left_file **file)
{
	struct left_file *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->fd = -1;
	snprintf(made->name, sizeof made->name, "%016llx", (unsigned long long)hash(config_path));
	made->parent_fd = open_parent();
	int error = made->parent_fd >= 0 ? lock(made) : made->parent_fd;
	if (error == -EAGAIN)
		error = lock(made);
	if (error != 0) {
		drop(made);
		return error;
	}
	*file = made;
	return 0;
}

/* "" where it cannot be known: then nothing is taken over. */
static void read_here(char boot[LEFT_BOOT_BYTES], uint64_t *pid_namespace)
{
	struct stat status;
	boot[0] = '\0';
	FILE *stream = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (stream != NULL) {
		if (fgets(boot, LEFT_BOOT_BYTES, stream) != NULL)
			boot[strcspn(boot, "\n")] = '\0';
		fclose(stream);
	}
	*pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static int read_text(const struct left_file *file, char **text)
{
	struct stat status;
	int fd = openat(file->fd, STATE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &status) == 0 ? 0 : -errno;
	if (error == 0 && (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
				  status.st_size > (off_t)STATE_BYTES_MOST))
		error = -EINVAL;
	size_t room = error == 0 ? (size_t)status.st_size : 0;
	char *made = error == 0 ? malloc(room + 1) : NULL;
	if (error == 0 && made == NULL)
		error = -ENOMEM;
	ssize_t length = error == 0 ? read(fd, made, room) : 0;
	if (error == 0 && length < 0)
		error = -errno;
	close(fd);
	if (error != 0) {
		free(made);
		return error;
	}
	made[length] = '\0';
	*text = made;
	return 0;
}

int left_file_read(const struct left_file *file, struct left_state *state)
{
	char boot[LEFT_BOOT_BYTES];
	uint64_t pid_namespace;
	char *text = NULL;
	int error = read_text(file, &text);
	if (error != 0)
		return error;
	error = left_state_parse(text, state);
	free(text);
	if (error != 0)
		return error;
	read_here(boot, &pid_namespace);
	if (boot[0] != '\0' && strcmp(boot, state->boot) == 0 && pid_namespace != 0 &&
		pid_namespace == state->pid_namespace)
		return 0;
	left_state_free(state);
	return -ENOENT;
}

static int write_state(const struct note *note)
{
	int fd = openat(note->fd, STATE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	if (fd < 0)
		return -errno;
	size_t written = 0;
	int error = 0;
	while (error == 0 && written < note->length) {
		ssize_t count = write(fd, note->text + written, note->length - written);
		if (count < 0 && errno != EINTR)
			error = -errno;
		written += count > 0 ? (size_t)count : 0;
	}
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error != 0)
		return error;
	return renameat(note->fd, STATE_NEW, note->fd, STATE) == 0 ? 0 : -errno;
}

static void note_write(void *data)
{
	struct note *note = data;
	note->error = write_state(note);
}

static void note_drop(void *data)
{
	struct note *note = data;
	if (note == NULL)
		return;
	if (note->fd >= 0)
		close(note->fd);
	free(note->text);
	free(note);
}

static int open_chore(struct left_file *file)
{
	static const struct chore_kind kind = {note_write, note_drop};
	if (file->chore != NULL)
		return 0;
	struct note *note = calloc(1, sizeof *note);
	if (note == NULL)
		return -ENOMEM;
	/* Opened anew, as it may outlive ours, and a duplicate would keep the lock. */
	note->fd = openat(file->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (note->fd < 0) {
		int error = -errno;
		note_drop(note);
		return error;
	}
	return chore_open(&kind, note, &file->chore);
}

static int format(const struct left_state *state, char **text, size_t *length)
{
	FILE *stream = open_memstream(text, length);
	if (stream == NULL)
		return -errno;
	left_state_format(state, stream);
	bool failed = ferror(stream) != 0;
	if (fclose(stream) == 0 && !failed)
		return 0;
	free(*text);
	return -ENOMEM;
}

int left_file_write(struct left_file *file, struct left_state *state)
{
	char *text = NULL;
	size_t length = 0;
	int error = open_chore(file);
	if (error == 0 && !chore_is_idle(file->chore))
		error = -EINPROGRESS;
	if (error != 0)
		return error;
	read_here(state->boot, &state->pid_namespace);
	error = format(state, &text, &length);
	if (error != 0)
		return error;
	struct note *note = chore_data(file->chore);
	free(note->text);
	note->text = text;
	note->length = length;
	error = chore_start(file->chore, LEFT_FILE_WAIT_MS);
	return error == 0 ? note->error : error;
}

void left_file_close(struct left_file *file, bool keep)
{
	if (file == NULL)
		return;
	chore_close(file->chore);
	file->chore = NULL;
	if (!keep)
		unlinkat(file->fd, STATE, 0);
	unlinkat(file->fd, STATE_NEW, 0);
	unlinkat(file->parent_fd, file->name, AT_REMOVEDIR);
	drop(file);
}
