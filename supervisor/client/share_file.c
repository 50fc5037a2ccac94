/* Reads the pages of figures that preloaded processes share. */
#include "supervisor/client/share_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/protocol.h"

/* Reads of one page before a torn one is taken. */
#define READS_MAX 8

static bool take_number(const char **text, char end, uint64_t *value)
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

bool share_name_parse(const char *name, struct share_name *parsed)
{
	size_t prefix = strlen(SHARE_NAME_PREFIX);
	if (strncmp(name, SHARE_NAME_PREFIX, prefix) != 0)
		return false;
	name += prefix;
	return take_number(&name, '.', &parsed->pid_namespace) &&
	       take_number(&name, '.', &parsed->pid) && parsed->pid > 0 &&
	       parsed->pid <= INT32_MAX && take_number(&name, '\0', &parsed->start_ticks);
}

/* One component, which is no link and does not lead up. */
static int open_part(int fd, const char *path, size_t length)
{
	char part[SHARE_NAME_BYTES * 2];
	if (length >= sizeof part || (length == 2 && memcmp(path, "..", 2) == 0))
		return -EINVAL;
	memcpy(part, path, length);
	part[length] = '\0';
	int below = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return below >= 0 ? below : -errno;
}

int share_directory_open(int root_fd, const char *path)
{
	int fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (fd >= 0 && *path != '\0') {
		size_t length = strcspn(path, "/");
		if (length == 0) {
			path++;
			continue;
		}
		int below = open_part(fd, path, length);
		close(fd);
		fd = below;
		path += length;
	}
	return fd;
}

/* What is not printable, or not the terminal's own, is a question mark. */
static void copy_text(char *to, const char *from, size_t bytes)
{
	size_t length = strnlen(from, bytes);
	for (size_t i = 0; i < length; i++)
		to[i] = (unsigned char)from[i] < ' ' || from[i] == 127 ? '?' : from[i];
	to[length] = '\0';
}

static void copy_samples(struct share_figures *to, const struct share_page *page)
{
	uint32_t count = page->sample_count;
	uint32_t kept = count < SHARE_SAMPLES ? count : SHARE_SAMPLES;
	for (uint32_t i = 0; i < kept; i++) {
		const struct share_sample *sample =
			&page->sample[(count - kept + i) % SHARE_SAMPLES];
		if (sample->at_ms == 0)
			continue;
		to->sample[to->sample_count++] = (struct share_moment){
			.at_ms = sample->at_ms,
			.usage_bytes = sample->usage_bytes,
			.limit_bytes = sample->limit_bytes,
			.live_bytes = sample->live_bytes,
			.idle_bytes = sample->idle_bytes,
			.lazy_bytes = sample->lazy_bytes,
			.cache_bytes = sample->cache_bytes,
		};
	}
}

static void copy_page(struct share_figures *to, const struct share_page *page)
{
	*to = (struct share_figures){
		.pid = page->pid,
		.uid = page->uid,
		.start_ticks = page->start_ticks,
		.pid_namespace = page->pid_namespace,
		.level = page->level < LINK_LEVELS ? page->level : LINK_CALM,
		.updated_ms = page->updated_ms,
		.walls_ms = page->walls_ms,
		.limit_bytes = page->limit_bytes,
		.usage_bytes = page->usage_bytes,
		.cache_bytes = page->cache_bytes,
		.price_ns = page->price_ns,
	};
	copy_text(to->command, page->command, SHARE_COMMAND_BYTES);
	copy_text(to->cgroup, page->cgroup, SHARE_CGROUP_BYTES);
	copy_samples(to, page);
#define COPY(name, kind, attribute) to->name = page->name;
	FIGURES_OF_SLOT(COPY)
#undef COPY
}

static int read_page(int fd, struct share_page *page)
{
	uint32_t before = 1;
	for (int i = 0; i < READS_MAX; i++) {
		if (pread(fd, page, sizeof *page, 0) != (ssize_t)sizeof *page)
			return -EINVAL;
		if (page->magic != SHARE_MAGIC || page->version != SHARE_VERSION)
			return -EINVAL;
		if (i > 0 && page->sequence == before && before % 2 == 0)
			break;
		before = page->sequence;
	}
	return 0;
}

int share_file_read(int directory_fd, const char *name, struct share_figures *figures)
{
	struct share_page page;
	struct stat status;
	int fd = openat(
		directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = -EINVAL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		status.st_size == SHARE_PAGE_BYTES)
		error = read_page(fd, &page);
	close(fd);
	if (error == 0)
		copy_page(figures, &page);
	return error;
}

int share_path_read(int root_fd, const char *path, struct share_figures *figures)
{
	char directory[SHARE_PATH_BYTES];
	const char *slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash - path) >= sizeof directory)
		return -EINVAL;
	snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
	int fd = share_directory_open(root_fd, directory);
	if (fd < 0)
		return fd;
	int error = share_file_read(fd, slash + 1, figures);
	close(fd);
	return error;
}

uint64_t share_live_bytes(const struct share_figures *figures)
{
	return figures->in_use_bytes > figures->free_slots_bytes
		       ? figures->in_use_bytes - figures->free_slots_bytes
		       : 0;
}

uint64_t share_idle_bytes(const struct share_figures *figures)
{
	uint64_t sum;
	return __builtin_add_overflow(figures->idle_dirty_bytes, figures->free_slots_bytes, &sum)
		       ? UINT64_MAX
		       : sum;
}

uint64_t share_released_bytes(const struct share_figures *figures)
{
	uint64_t sum = 0;
#define ADD(name, kind, attribute) \
	if (__builtin_add_overflow(sum, figures->name, &sum)) \
		sum = UINT64_MAX;
	FIGURES_RELEASED(ADD)
#undef ADD
	return sum;
}
