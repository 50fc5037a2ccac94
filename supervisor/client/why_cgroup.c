/* Reads the memory files of a cgroup that is asked about. */
#include "supervisor/client/why_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"
#define MOUNT_V1 MOUNT "/memory"
#define FILE_PATH_BYTES (WHY_PATH_BYTES + 64)
#define DEPTH_MAX 16
#define TEXT_BYTES 8192
/* v1 has no "max": what is above is none. */
#define V1_NO_LIMIT ((uint64_t)1 << 62)

static const struct names {
	const char *mount;
	const char *limit;
	const char *usage;
	const char *kills; /* the file with oom_kill */
	const char *hits;  /* the file with the hits of the limit, and the key; "" = all of it */
	const char *hits_key;
	const char *anon;
	const char *file;
	const char *shared;
	const char *slab;
} versions[] = {
	{MOUNT_V1, "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control",
		"memory.failcnt", "", "total_rss ", "total_cache ", "total_shmem ", "total_slab "},
	{MOUNT, "memory.max", "memory.current", "memory.events", "memory.events", "max ", "anon ",
		"file ", "shmem ", "kernel "},
};

static const struct names *names(void)
{
	return access(MOUNT_V1 "/memory.usage_in_bytes", F_OK) == 0 ? &versions[0] : &versions[1];
}

static bool read_text(const char *path, const char *name, char text[TEXT_BYTES])
{
	char full[FILE_PATH_BYTES];
	snprintf(full, sizeof full, "%s%s/%s", names()->mount, path, name);
	int fd = open(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, TEXT_BYTES - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* Of the line that begins with key, or of the whole text. */
static bool number_of(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);
	while (strncmp(text, key, length) != 0) {
		text = strchr(text, '\n');
		if (text == NULL)
			return false;
		text++;
	}
	char *end;
	errno = 0;
	uint64_t number = strtoull(text + length, &end, 10);
	if (end == text + length || errno != 0)
		return false;
	*value = number;
	return true;
}

static bool read_number(const char *path, const char *name, const char *key, uint64_t *value)
{
	char text[TEXT_BYTES];
	return read_text(path, name, text) && number_of(text, key, value);
}

bool why_cgroup_is_below(const char *path, const char *cgroup)
{
	size_t length = strlen(cgroup);
	if (strcmp(cgroup, "/") == 0)
		return path[0] == '/';
	return strncmp(path, cgroup, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* Up to the root, each from its own files. */
static void read_limit(const char *path, struct why_facts *facts)
{
	char at[WHY_PATH_BYTES];
	uint64_t headroom = UINT64_MAX;
	snprintf(at, sizeof at, "%s", path);
	facts->limit_bytes = WHY_NO_LIMIT;
	read_number(path, names()->usage, "", &facts->usage_bytes);
	for (;;) {
		uint64_t limit;
		uint64_t usage;
		char *slash;
		if (read_number(at, names()->limit, "", &limit) && limit < V1_NO_LIMIT &&
			read_number(at, names()->usage, "", &usage)) {
			uint64_t left = limit > usage ? limit - usage : 0;
			if (left < headroom) {
				headroom = left;
				facts->limit_bytes = limit;
				facts->usage_bytes = usage;
			}
		}
		slash = strrchr(at, '/');
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

void why_cgroup_read(const char *path, struct why_facts *facts, uint64_t *hits)
{
	const struct names *name = names();
	char text[TEXT_BYTES];
	/* The root is the mount itself. */
	if (strcmp(path, "/") == 0)
		path = "";
	read_limit(path, facts);
	read_number(path, name->kills, "oom_kill ", &facts->kills);
	read_number(path, name->hits, name->hits_key, hits);
	if (!read_text(path, "memory.stat", text))
		return;
	facts->has_stat = number_of(text, name->anon, &facts->anon_bytes);
	number_of(text, name->file, &facts->file_bytes);
	number_of(text, name->shared, &facts->shared_bytes);
	if (!number_of(text, name->slab, &facts->slab_bytes))
		number_of(text, "slab ", &facts->slab_bytes);
}

/* Below a directory --------------------------------------------------------------- */

/* Calls see for each directory below path, and path itself, the upper ones first. */
static void each_directory(const char *path, int depth,
	void (*see)(const char *path, int depth, void *with), void *with)
{
	char full[FILE_PATH_BYTES];
	char below[WHY_PATH_BYTES];
	const struct dirent *entry;
	see(path, depth, with);
	snprintf(full, sizeof full, "%s%s", names()->mount, path);
	DIR *entries = depth < DEPTH_MAX ? opendir(full) : NULL;
	while (entries != NULL && (entry = readdir(entries)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
			snprintf(below, sizeof below, "%s/%s", path, entry->d_name) <
				(int)sizeof below)
			each_directory(below, depth + 1, see, with);
	if (entries != NULL)
		closedir(entries);
}

struct wanted {
	const char *text;
	char *found;
	int depth;
	size_t count; /* at that depth */
};

/* systemd's driver writes a pod's uid with _ for -. */
static bool has_part(const char *name, const char *part)
{
	for (; *name != '\0'; name++) {
		size_t i = 0;
		while (part[i] != '\0' &&
			(name[i] == part[i] || (name[i] == '_' && part[i] == '-')))
			i++;
		if (part[i] == '\0')
			return true;
	}
	return false;
}

static void match(const char *path, int depth, void *with)
{
	struct wanted *wanted = with;
	const char *slash = strrchr(path, '/');
	if (slash == NULL || !has_part(slash + 1, wanted->text) ||
		(wanted->count > 0 && depth > wanted->depth))
		return;
	if (wanted->count == 0 || depth < wanted->depth) {
		wanted->count = 0;
		wanted->depth = depth;
		snprintf(wanted->found, WHY_PATH_BYTES, "%s", path);
	}
	wanted->count++;
}

int why_cgroup_find(const char *text, char path[WHY_PATH_BYTES])
{
	char full[FILE_PATH_BYTES];
	const char *mount = names()->mount;
	size_t length = strlen(mount);
	if (strncmp(text, mount, length) == 0 && (text[length] == '/' || text[length] == '\0'))
		text += length;
	if (text[0] == '/' || text[0] == '\0') {
		snprintf(path, WHY_PATH_BYTES, "%s", text[0] != '\0' ? text : "/");
		length = strlen(path);
		while (length > 1 && path[length - 1] == '/')
			path[--length] = '\0';
		snprintf(full, sizeof full, "%s%s/cgroup.procs", mount, path);
		return access(full, F_OK) == 0 ? 0 : -ENOENT;
	}
	struct wanted wanted = {.text = text, .found = path};
	each_directory("", 0, match, &wanted);
	if (wanted.count == 0)
		return -ENOENT;
	return wanted.count == 1 ? 0 : -E2BIG;
}

struct visit {
	void (*see)(int pid, void *with);
	void *with;
};

static void visit_processes(const char *path, int depth, void *with)
{
	const struct visit *visit = with;
	char full[FILE_PATH_BYTES];
	char line[32];
	(void)depth;
	snprintf(full, sizeof full, "%s%s/cgroup.procs", names()->mount, path);
	FILE *file = fopen(full, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		visit->see((int)strtol(line, NULL, 10), visit->with);
	if (file != NULL)
		fclose(file);
}

void why_cgroup_each(const char *path, void (*see)(int pid, void *with), void *with)
{
	struct visit visit = {see, with};
	each_directory(strcmp(path, "/") == 0 ? "" : path, 0, visit_processes, &visit);
}
