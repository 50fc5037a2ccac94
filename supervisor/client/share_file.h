#ifndef SUPERVISOR_CLIENT_SHARE_FILE_H
#define SUPERVISOR_CLIENT_SHARE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/share_page.h"

/*
 * Reading a process's page of figures (shim/share_page.h), which may be anybody's: no link is
 * followed, nothing but a regular file of the right size is read, texts end in NUL and hold
 * printable characters only, and samples are in the order of time.
 */

#define SHARE_PATH_BYTES 512

struct share_moment {
	uint64_t at_ms;       /* CLOCK_REALTIME */
	uint64_t usage_bytes; /* 0 = not known */
	uint64_t limit_bytes; /* UINT64_MAX = none known */
	uint64_t live_bytes;
	uint64_t idle_bytes;
	uint64_t lazy_bytes;
	uint64_t cache_bytes;
};

#define SHARE_FIGURE(name, kind, attribute) uint64_t name;

struct share_figures {
	uint32_t pid; /* in pid_namespace */
	uint32_t uid;
	uint64_t start_ticks;
	uint64_t pid_namespace;
	uint32_t level; /* below LINK_LEVELS */
	uint64_t updated_ms;
	uint64_t walls_ms;
	uint64_t limit_bytes;
	uint64_t usage_bytes;
	uint64_t cache_bytes;
	uint64_t price_ns;
	char command[SHARE_COMMAND_BYTES + 1];
	char cgroup[SHARE_CGROUP_BYTES + 1];
	size_t sample_count;
	struct share_moment sample[SHARE_SAMPLES]; /* the oldest first */
	FIGURES_OF_SLOT(SHARE_FIGURE)
};

/* What a file's name says; false: it is not a page's. */
struct share_name {
	uint64_t pid_namespace;
	uint64_t pid;
	uint64_t start_ticks;
};
bool share_name_parse(const char *name, struct share_name *parsed);

/* A directory below another one, with no link on the way.  A descriptor, or -errno. */
int share_directory_open(int root_fd, const char *path);

/* 0, or -errno: -EINVAL is no page of a version that is known. */
int share_file_read(int directory_fd, const char *name, struct share_figures *figures);

/* The same for a path below root_fd. */
int share_path_read(int root_fd, const char *path, struct share_figures *figures);

/* Live memory, and what is resident and idle; never below 0 whatever the page says. */
uint64_t share_live_bytes(const struct share_figures *figures);
uint64_t share_idle_bytes(const struct share_figures *figures);
uint64_t share_released_bytes(const struct share_figures *figures);

#endif
