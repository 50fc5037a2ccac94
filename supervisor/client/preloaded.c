/* Finds the processes that run on libspillway.so, and the pages of those that did. */
#include "supervisor/client/preloaded.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEAD_AFTER_S 3600
#define PLACES_MAX 2048
#define DIRECTORIES_USUAL 2
#define DIRECTORIES (DIRECTORIES_USUAL + 1)

/* The usual directories, and the caller's own. */
static const char *directory_at(size_t i)
{
	static const char *const usual[DIRECTORIES_USUAL] = {
		SHARE_DIRECTORY_RUN, SHARE_DIRECTORY_SHM};
	if (i < DIRECTORIES_USUAL)
		return usual[i];
	const char *own = getenv(SHARE_ENVIRONMENT);
	return own != NULL && own[0] == '/' ? own : NULL;
}

static FILE *open_of(int pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

static uint64_t inode_of(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* 0: there is no such process, or it has ended and only waits to be reaped. */
static uint64_t read_start(int pid)
{
	char text[1024];
	FILE *file = open_of(pid, "stat");
	size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
	if (file != NULL)
		fclose(file);
	text[length] = '\0';
	/* The command's name may hold brackets; nothing after it does. */
	const char *at = strrchr(text, ')');
	if (at != NULL && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))
		return 0;
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at != NULL ? strtoull(at + 1, NULL, 10) : 0;
}

static void read_command(struct preloaded *process)
{
	FILE *file = open_of(process->pid, "comm");
	if (file != NULL && fgets(process->command, sizeof process->command, file) != NULL)
		process->command[strcspn(process->command, "\n")] = '\0';
	if (file != NULL)
		fclose(file);
	for (char *c = process->command; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
}

/* The path on v2's line, or on that of v1 which counts memory. */
void preloaded_cgroup(int pid, char path[SHARE_CGROUP_BYTES])
{
	char line[SHARE_CGROUP_BYTES + 256];
	/* One that has ended is shown in the root of version 1, wherever it was. */
	FILE *file = read_start(pid) != 0 ? open_of(pid, "cgroup") : NULL;
	path[0] = '\0';
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		char *controllers = strchr(line, ':');
		char *found = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (found == NULL)
			continue;
		*found++ = '\0';
		found[strcspn(found, "\n")] = '\0';
		bool counts = strstr(controllers, "memory") != NULL;
		if (counts || (controllers[1] == '\0' && path[0] == '\0'))
			snprintf(path, SHARE_CGROUP_BYTES, "%.*s", SHARE_CGROUP_BYTES - 1, found);
	}
	if (file != NULL)
		fclose(file);
}

enum mapped { MAPPED_UNKNOWN, MAPPED_NOT, MAPPED_LIBRARY };

/* Also one that was replaced, which has " (deleted)" behind its name. */
static bool is_library(const char *name)
{
	static const char *const libraries[] = {"libspillway.so", "libspillway-agent.so"};
	for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
		if (strncmp(name, libraries[i], strlen(libraries[i])) == 0)
			return true;
	return false;
}

/* page: the path of the process's page, "" where it has none. */
static enum mapped read_maps(int pid, char page[SHARE_PATH_BYTES])
{
	char *line = NULL;
	size_t size = 0;
	FILE *maps = open_of(pid, "maps");
	enum mapped found = MAPPED_NOT;
	page[0] = '\0';
	if (maps == NULL)
		return MAPPED_UNKNOWN;
	while (getline(&line, &size, maps) > 0) {
		struct share_name name;
		char *path = strchr(line, '/');
		char *slash = path != NULL ? strrchr(path, '/') : NULL;
		if (slash == NULL)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (is_library(slash + 1))
			found = MAPPED_LIBRARY;
		else if (share_name_parse(slash + 1, &name) && strlen(path) < SHARE_PATH_BYTES)
			memcpy(page, path, strlen(path) + 1);
	}
	/* Reading is refused later than opening for another user's process. */
	if (ferror(maps))
		found = MAPPED_UNKNOWN;
	free(line);
	fclose(maps);
	return found;
}

static bool read_below(struct preloaded *process, const char *root, const char *page)
{
	int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool read = root_fd >= 0 && share_path_read(root_fd, page, &process->figures) == 0 &&
		    process->figures.start_ticks == process->start_ticks;
	if (root_fd >= 0)
		close(root_fd);
	return read;
}

/* By the path that the process has mapped; after a chroot that is not below its root. */
static bool read_mapped(struct preloaded *process, const char *page)
{
	char root[64];
	snprintf(root, sizeof root, "/proc/%d/root", process->pid);
	return page[0] != '\0' &&
	       (read_below(process, root, page) || read_below(process, "/", page));
}

/* By its name, in the caller's own namespaces. */
static bool read_named(struct preloaded *process, uint64_t pid_namespace)
{
	const char *directory;
	for (size_t i = 0; i < DIRECTORIES; i++) {
		char page[SHARE_PATH_BYTES];
		directory = directory_at(i);
		if (directory == NULL)
			continue;
		snprintf(page, sizeof page, "%s/" SHARE_NAME_PREFIX "%llu.%d.%llu", directory,
			(unsigned long long)pid_namespace, process->pid,
			(unsigned long long)process->start_ticks);
		if (read_below(process, "/", page))
			return true;
	}
	return false;
}

/* Whether the process counts; its pid is set. */
static bool look_at(struct preloaded *process, uint64_t pid_namespace)
{
	char page[SHARE_PATH_BYTES];
	char path[64];
	struct stat status;
	enum mapped mapped = read_maps(process->pid, page);
	if (mapped == MAPPED_NOT)
		return false;
	process->start_ticks = read_start(process->pid);
	process->has_figures = mapped == MAPPED_LIBRARY ? read_mapped(process, page)
							: read_named(process, pid_namespace);
	if (process->start_ticks == 0 || (mapped == MAPPED_UNKNOWN && !process->has_figures))
		return false;
	snprintf(path, sizeof path, "/proc/%d", process->pid);
	process->uid = stat(path, &status) == 0 ? status.st_uid : process->figures.uid;
	read_command(process);
	preloaded_cgroup(process->pid, process->cgroup);
	return true;
}

static int by_pid(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The numbers in /proc; the caller frees them.  NULL with errno. */
static int *list_pids(size_t *count)
{
	DIR *entries = opendir("/proc");
	const struct dirent *entry;
	int *pids = NULL;
	*count = 0;
	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (*count % 256 == 0) {
			int *more = realloc(pids, (*count + 256) * sizeof *pids);
			if (more == NULL)
				break;
			pids = more;
		}
		pids[(*count)++] = (int)strtol(entry->d_name, NULL, 10);
	}
	if (entries != NULL)
		closedir(entries);
	if (pids != NULL)
		qsort(pids, *count, sizeof *pids, by_pid);
	return pids;
}

int preloaded_each(void (*see)(const struct preloaded *process, void *with), void *with)
{
	uint64_t pid_namespace = inode_of("/proc/self/ns/pid");
	size_t count;
	int *pids = list_pids(&count);
	if (pids == NULL)
		return errno != 0 ? -errno : -ENOENT;
	for (size_t i = 0; i < count; i++) {
		struct preloaded process = {.pid = pids[i]};
		if (look_at(&process, pid_namespace))
			see(&process, with);
	}
	free(pids);
	return 0;
}

/* The dead ---------------------------------------------------------------------- */

/* The first pid namespace of the machine has this inode number (Linux's PROC_PID_INIT_INO); from
 * there all processes are seen. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

/* A process that is there, as the name of its page has it. */
struct alive {
	uint64_t pid; /* in its own namespace */
	uint64_t start_ticks;
};

struct place {
	dev_t device;
	ino_t inode;
};

struct search {
	void (*see)(const struct preloaded_dead *dead, void *with);
	void *with;
	int beside;
	uint64_t pid_namespace;
	struct alive *alive;
	size_t alive_count;
	struct place seen[PLACES_MAX]; /* mount namespaces and directories */
	size_t seen_count;
};

/* The last number on the line NSpid, which Linux has since 4.1; without, the pid itself. */
static uint64_t read_own_pid(int pid)
{
	char line[256];
	uint64_t own = (uint64_t)pid;
	FILE *file = open_of(pid, "status");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		const char *last = strrchr(line, '\t');
		if (strncmp(line, "NSpid:", 6) == 0 && last != NULL)
			own = strtoull(last + 1, NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return own;
}

/* Of a namespace whose processes the caller does not see all, none counts as dead. */
static bool is_dead(const struct search *search, const struct share_name *name)
{
	if (name->pid_namespace != search->pid_namespace &&
		search->pid_namespace != FIRST_PID_NAMESPACE)
		return false;
	for (size_t i = 0; i < search->alive_count; i++)
		if (search->alive[i].pid == name->pid &&
			search->alive[i].start_ticks == name->start_ticks)
			return false;
	return true;
}

static bool is_new(struct search *search, const struct stat *status)
{
	for (size_t i = 0; i < search->seen_count; i++)
		if (search->seen[i].device == status->st_dev &&
			search->seen[i].inode == status->st_ino)
			return false;
	if (search->seen_count == PLACES_MAX)
		return false;
	search->seen[search->seen_count++] = (struct place){status->st_dev, status->st_ino};
	return true;
}

static void see_dead(struct search *search, int fd, const char *entry)
{
	struct share_name name;
	struct preloaded_dead dead = {.beside = search->beside};
	if (!share_name_parse(entry, &name) || !is_dead(search, &name) ||
		share_file_read(fd, entry, &dead.figures) != 0)
		return;
	if (dead.figures.start_ticks == name.start_ticks && dead.figures.pid == name.pid)
		search->see(&dead, search->with);
	if ((uint64_t)time(NULL) > dead.figures.updated_ms / 1000 + DEAD_AFTER_S)
		unlinkat(fd, entry, 0);
}

static void look_into(struct search *search, int root_fd, const char *directory)
{
	struct stat status;
	const struct dirent *entry;
	int path_fd = share_directory_open(root_fd, directory);
	int fd = path_fd >= 0 ? openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *entries = fd >= 0 && fstat(fd, &status) == 0 && is_new(search, &status) ? fdopendir(fd)
										     : NULL;
	while (entries != NULL && (entry = readdir(entries)) != NULL)
		see_dead(search, fd, entry->d_name);
	if (entries != NULL)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
	if (path_fd >= 0)
		close(path_fd);
}

/* The directories below that process's root; pid 0: the caller's own. */
static void look_below(struct search *search, int pid)
{
	char path[64] = "/proc/self/ns/mnt";
	struct stat status;
	if (pid != 0)
		snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	if (stat(path, &status) != 0 || !is_new(search, &status))
		return;
	search->beside = pid;
	snprintf(path, sizeof path, "/proc/%d/root", pid);
	int root_fd = open(pid != 0 ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; root_fd >= 0 && i < (pid == 0 ? DIRECTORIES : DIRECTORIES_USUAL); i++)
		if (directory_at(i) != NULL)
			look_into(search, root_fd, directory_at(i));
	if (root_fd >= 0)
		close(root_fd);
}

int preloaded_each_dead(void (*see)(const struct preloaded_dead *dead, void *with), void *with)
{
	struct search search = {.see = see, .with = with};
	size_t count;
	int *pids = list_pids(&count);
	if (pids == NULL)
		return errno != 0 ? -errno : -ENOENT;
	search.pid_namespace = inode_of("/proc/self/ns/pid");
	search.alive = calloc(count, sizeof *search.alive);
	for (size_t i = 0; search.alive != NULL && i < count; i++)
		search.alive[search.alive_count++] =
			(struct alive){read_own_pid(pids[i]), read_start(pids[i])};
	if (search.alive != NULL)
		look_below(&search, 0);
	for (size_t i = 0; search.alive != NULL && i < count; i++)
		look_below(&search, pids[i]);
	int error = search.alive != NULL ? 0 : -ENOMEM;
	free(search.alive);
	free(pids);
	return error;
}
