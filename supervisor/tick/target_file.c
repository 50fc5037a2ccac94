/* Reads the wall that a file names. */
#include "supervisor/tick/target_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/units.h"
#include "supervisor/base/chore.h"
#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/cgroup/cgroup_settings.h"

/* What the thread reads: one line of the file at path. */
struct look {
	char *path;
	char text[TARGET_FILE_BYTES + 1];
	int error;
};

/* A FIFO is no regular file, and does not keep us. */
static int read_line(const char *path, char text[TARGET_FILE_BYTES + 1])
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &status) == 0 ? 0 : -errno;
	if (error == 0 && !S_ISREG(status.st_mode))
		error = -ENOTSUP;
	ssize_t length = error == 0 ? read(fd, text, TARGET_FILE_BYTES + 1) : 0;
	if (length < 0)
		error = -errno;
	else if (length > (ssize_t)TARGET_FILE_BYTES)
		error = -EFBIG;
	close(fd);
	if (error != 0)
		return error;
	while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
		length--;
	text[length] = '\0';
	return memchr(text, '\0', (size_t)length) == NULL ? 0 : -EINVAL;
}

static void look_read(void *data)
{
	struct look *look = data;
	look->error = read_line(look->path, look->text);
}

static void look_drop(void *data)
{
	struct look *look = data;
	if (look != NULL)
		free(look->path);
	free(look);
}

static int understand(const struct look *look, uint64_t wall_bytes, uint64_t *bytes)
{
	struct config_amount amount;
	int error = look->error;
	if (error == 0)
		error = units_parse_amount(look->text, &amount);
	if (error != 0)
		return error;
	bool is_off = amount.bytes == 0 && amount.permille == 0;
	uint64_t read_bytes = cgroup_settings_bytes(amount, wall_bytes);
	if ((is_off && strcmp(look->text, "off") != 0) || read_bytes < TARGET_FILE_LEAST_BYTES)
		return -ERANGE;
	*bytes = read_bytes;
	return 0;
}

static void say_error(const struct target_file *target, const char *name, const char *path)
{
	struct size_text kept = size_text(target->bytes);
	const char *why = strerror(-target->error);
	if (target->error == -EINVAL || target->error == -ERANGE || target->error == -EFBIG)
		why = "expected a size from 1M such as 512M, a share such as 80%, or off";
	else if (target->error == -ENOTSUP)
		why = "not a regular file";
	else if (target->error == -ETIMEDOUT)
		why = "its file system does not answer";
	log_warn("%s: target_file %s: %s; %s%s", name, path, why,
		target->known ? "the target stays " : "there is no target",
		target->known ? kept.text : "");
}

static void note_error(struct target_file *target, const char *name, const char *path, int error)
{
	bool is_news = error != target->error;
	target->error = error;
	if (error != 0 && is_news)
		say_error(target, name, path);
}

/* What was read, unless it was read for another path. */
static void note_look(
	struct target_file *target, const char *name, const char *path, uint64_t wall_bytes)
{
	const struct look *look = chore_data(target->chore);
	uint64_t bytes;
	target->is_reading = false;
	if (strcmp(look->path, path) != 0)
		return;
	int error = understand(look, wall_bytes, &bytes);
	note_error(target, name, path, error);
	if (error != 0)
		return;
	if (!target->known || bytes != target->bytes)
		log_info("%s: target %s, as %s has it", name,
			bytes != UINT64_MAX ? size_text(bytes).text : "off", path);
	target->known = true;
	target->bytes = bytes;
}

static int open_chore(struct target_file *target)
{
	static const struct chore_kind kind = {look_read, look_drop};
	if (target->chore != NULL)
		return 0;
	struct look *look = calloc(1, sizeof *look);
	return look != NULL ? chore_open(&kind, look, &target->chore) : -ENOMEM;
}

/* 0: it is read, or will be. */
static int begin(struct target_file *target, const char *path)
{
	int error = open_chore(target);
	if (error != 0)
		return error;
	struct look *look = chore_data(target->chore);
	char *copy = strdup(path);
	if (copy == NULL)
		return -ENOMEM;
	free(look->path);
	look->path = copy;
	error = chore_start(target->chore, TARGET_FILE_WAIT_MS);
	target->is_reading = error == 0 || error == -EINPROGRESS;
	return target->is_reading ? 0 : error;
}

void target_file_close(struct target_file *target)
{
	chore_close(target->chore);
	*target = (struct target_file){0};
}

uint64_t target_file_step(struct target_file *target, const char *name, const char *path,
	uint64_t wall_bytes, uint64_t now_ms)
{
	if (path == NULL) {
		target_file_close(target);
		return UINT64_MAX;
	}
	bool is_due = !target->looked || now_ms - target->looked_ms >= TARGET_FILE_LOOK_MS;
	if (is_due && !target->is_reading) {
		target->looked = true;
		target->looked_ms = now_ms;
		int error = begin(target, path);
		if (error != 0)
			note_error(target, name, path, error);
	}
	if (target->is_reading && chore_is_idle(target->chore))
		note_look(target, name, path, wall_bytes);
	else if (target->is_reading && now_ms - target->looked_ms >= TARGET_FILE_HANGS_MS)
		note_error(target, name, path, -ETIMEDOUT);
	return target->known ? target->bytes : UINT64_MAX;
}
