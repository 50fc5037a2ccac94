/* Reads the wall that a file names. */
#include "supervisor/tick/target_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/units.h"
#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/cgroup/cgroup_settings.h"

/* Never waits: a FIFO is no regular file. */
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

static int read_target(const char *path, uint64_t wall_bytes, uint64_t *bytes)
{
	char text[TARGET_FILE_BYTES + 1];
	struct config_amount amount;
	int error = read_line(path, text);
	if (error == 0)
		error = units_parse_amount(text, &amount);
	if (error != 0)
		return error;
	bool is_off = amount.bytes == 0 && amount.permille == 0;
	uint64_t read_bytes = cgroup_settings_bytes(amount, wall_bytes);
	if ((is_off && strcmp(text, "off") != 0) || read_bytes < TARGET_FILE_LEAST_BYTES)
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
	log_warn("%s: target_file %s: %s; %s%s", name, path, why,
		target->known ? "the target stays " : "there is no target",
		target->known ? kept.text : "");
}

static void look(
	struct target_file *target, const char *name, const char *path, uint64_t wall_bytes)
{
	uint64_t bytes;
	int error = read_target(path, wall_bytes, &bytes);
	bool is_news = error != target->error;
	target->error = error;
	if (error != 0) {
		if (is_news)
			say_error(target, name, path);
		return;
	}
	if (!target->known || bytes != target->bytes)
		log_info("%s: target %s, as %s has it", name,
			bytes != UINT64_MAX ? size_text(bytes).text : "off", path);
	target->known = true;
	target->bytes = bytes;
}

uint64_t target_file_step(struct target_file *target, const char *name, const char *path,
	uint64_t wall_bytes, uint64_t now_ms)
{
	if (path == NULL) {
		*target = (struct target_file){0};
		return UINT64_MAX;
	}
	if (!target->looked || now_ms - target->looked_ms >= TARGET_FILE_LOOK_MS) {
		target->looked = true;
		target->looked_ms = now_ms;
		look(target, name, path, wall_bytes);
	}
	return target->known ? target->bytes : UINT64_MAX;
}
