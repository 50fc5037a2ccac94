/* How many CPUs the process may use. */
#include "shim/agent/processors.h"

#include "shim/cgroup_place.h"
#include "shim/kernel.h"

#include <string.h>

#define CPU_MAX_TEXT_BYTES 64
#define MASK_WORDS 128U /* 8192 CPUs, the most that Linux can have */

/* Digits at *text, which is moved past them; 0: there are none, or too many. */
static uint64_t number_parse(const char **text)
{
	uint64_t value = 0;

	for (int digits = 0; **text >= '0' && **text <= '9'; (*text)++) {
		if (++digits > 18)
			return 0;
		value = value * 10 + (uint64_t)(**text - '0');
	}
	return value;
}

/* "QUOTA PERIOD", microseconds; QUOTA may be "max". */
uint32_t processors_parse(const char *text)
{
	uint64_t quota = number_parse(&text);
	uint64_t period;
	uint64_t count;

	if (quota == 0 || *text != ' ')
		return UINT32_MAX;
	text++;
	period = number_parse(&text);
	if (period == 0 || (*text != '\n' && *text != '\0'))
		return UINT32_MAX;
	count = (quota - 1) / period + 1;
	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

/* UINT32_MAX: the kernel has more CPUs than there is room for. */
static uint32_t mask_count(void)
{
	uint64_t words[MASK_WORDS] = {0};
	uint32_t count = 0;

	if (kernel_call(SYS_sched_getaffinity, 0, sizeof words, (long)words, 0, 0, 0) <= 0)
		return UINT32_MAX;
	for (size_t i = 0; i < MASK_WORDS; i++)
		count += (uint32_t)__builtin_popcountll(words[i]);
	return count;
}

static uint32_t directory_count(int root_fd, const char *path)
{
	char text[CPU_MAX_TEXT_BYTES];
	int directory_fd = cgroup_place_open_directory(root_fd, path);
	long got = -1;
	int fd;

	if (directory_fd < 0)
		return UINT32_MAX;
	fd = cgroup_place_open_file(directory_fd, "cpu.max");
	if (fd >= 0) {
		got = kernel_read(fd, text, sizeof text - 1);
		kernel_close(fd);
	}
	kernel_close(directory_fd);
	text[got > 0 ? got : 0] = '\0';
	return processors_parse(text);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t quota_count(void)
{
	static struct cgroup_room room;
	uint32_t count = UINT32_MAX;
	int root_fd = kernel_open("/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	char *slash;

	if (root_fd < 0)
		return count;
	(void)cgroup_place_read(root_fd, &room);
	if (cgroup_place_find(root_fd, true, room.v2, &room)) {
		do {
			count = least(count, directory_count(root_fd, room.directory));
			slash = strrchr(room.directory, '/');
			if (slash != NULL)
				*slash = '\0';
		} while (slash != NULL && strlen(room.directory) >= strlen(room.point));
	}
	kernel_close(root_fd);
	return count;
}

uint32_t processors_count(void)
{
	uint32_t count = least(mask_count(), quota_count());

	return count == UINT32_MAX ? 0 : count;
}
