/* The memory files of the process's own cgroup and of those above it. */
#include "shim/cgroup.h"

#include "shim/kernel.h"
#include "supervisor/policy/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHORT_TEXT_BYTES 512
#define LINE_BYTES sizeof(((struct cgroup_room *)NULL)->line)
/* So much of cgroup.procs is read. */
#define PROCESSES_READS 8

#define HASH_START 0xcbf29ce484222325U
#define HASH_FACTOR 0x100000001b3U

/* Lines of a file that may be long; a line that does not fit is left out. */
struct lines {
	int fd;
	size_t length;
	size_t next; /* where the next line begins */
	char *text;  /* LINE_BYTES */
};

static int open_at(int directory_fd, const char *path, int flags)
{
	while (*path == '/')
		path++;
	return (int)kernel_call(SYS_openat, directory_fd, (long)(*path != '\0' ? path : "."),
		flags | O_CLOEXEC | O_NOCTTY, 0, 0, 0);
}

static int open_file(int directory_fd, const char *name)
{
	return open_at(directory_fd, name, O_RDONLY | O_NONBLOCK);
}

static int open_directory(int root_fd, const char *path)
{
	return open_at(root_fd, path, O_PATH | O_DIRECTORY);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		kernel_close(*fd);
	*fd = -1;
}

/* The text from the file's beginning on; its length, or -errno. */
static long read_text(int fd, char *text, size_t size)
{
	if (fd < 0)
		return -ENOENT;
	return kernel_call(SYS_pread64, fd, (long)text, (long)size, 0, 0, 0);
}

static bool lines_fill(struct lines *lines)
{
	long got;

	memmove(lines->text, lines->text + lines->next, lines->length - lines->next);
	lines->length -= lines->next;
	lines->next = 0;
	got = kernel_read(lines->fd, lines->text + lines->length, LINE_BYTES - lines->length);
	if (got <= 0)
		return false;
	lines->length += (size_t)got;
	return true;
}

/* The next whole line, without its end; NULL: there is none. */
static char *lines_next(struct lines *lines)
{
	bool skips = false;

	for (;;) {
		char *line = lines->text + lines->next;
		char *end = memchr(line, '\n', lines->length - lines->next);

		if (end != NULL) {
			*end = '\0';
			lines->next = (size_t)(end - lines->text) + 1;
			if (!skips)
				return line;
			skips = false;
			continue;
		}
		if (lines->length - lines->next == LINE_BYTES) {
			skips = true;
			lines->next = lines->length;
		}
		if (!lines_fill(lines))
			return NULL;
	}
}

/* Cuts the text at the first separator; what follows, NULL where there is none. */
static char *cut(char *text, char separator)
{
	char *at = strchr(text, separator);

	if (at == NULL)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* Is word one of those that commas or blanks separate? */
static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = words; *at != '\0'; at += strcspn(at, ", "), at += strspn(at, ", "))
		if (strncmp(at, word, length) == 0 && strchr(", ", at[length]) != NULL)
			return true;
	return false;
}

static void path_copy(char to[CGROUP_PATH_BYTES], const char *from)
{
	size_t length = strlen(from);

	if (length < CGROUP_PATH_BYTES)
		memcpy(to, from, length + 1);
}

static uint64_t hash_add(uint64_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * HASH_FACTOR;
	return hash;
}

/* Lines are "HIERARCHY:CONTROLLERS:PATH".  Which text it is. */
static uint64_t own_paths_read(int root_fd, struct cgroup_room *room)
{
	struct lines lines = {.fd = open_file(root_fd, "proc/self/cgroup"), .text = room->line};
	uint64_t place = HASH_START;
	char *line;

	room->v1[0] = '\0';
	room->v2[0] = '\0';
	while (lines.fd >= 0 && (line = lines_next(&lines)) != NULL) {
		char *controllers;
		char *path;

		place = hash_add(place, line);
		controllers = cut(line, ':');
		path = controllers != NULL ? cut(controllers, ':') : NULL;
		if (path == NULL || path[0] != '/')
			continue;
		if (strcmp(line, "0") == 0 && controllers[0] == '\0')
			path_copy(room->v2, path);
		else if (has_word(controllers, "memory"))
			path_copy(room->v1, path);
	}
	close_fd(&lines.fd);
	return place;
}

static bool is_octal(const char *digits)
{
	return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
	       digits[2] >= '0' && digits[2] <= '7';
}

/* mountinfo writes blanks and backslashes in octal. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] != '\\' || !is_octal(from + 1)) {
			*to++ = *from;
			continue;
		}
		*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
		from += 3;
	}
	*to = '\0';
}

static bool has_file(int root_fd, const char *directory, const char *name)
{
	int directory_fd = open_directory(root_fd, directory);
	bool found;

	if (directory_fd < 0)
		return false;
	found = kernel_call(SYS_faccessat, directory_fd, (long)name, F_OK, 0, 0, 0) == 0;
	kernel_close(directory_fd);
	return found;
}

/*
 * Into room: where path is under a mount whose root, seen from our cgroup namespace, is root.  A
 * root that begins with "/.." was mounted outside of it, and nothing tells where in it we are.
 */
static bool place_under(int root_fd, const char *root, const char *point, const char *path,
	struct cgroup_room *room)
{
	size_t root_length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	size_t point_length = strlen(point);
	const char *tail = NULL;

	if (strncmp(root, "/..", 3) == 0 || point_length >= CGROUP_PATH_BYTES)
		return false;
	if (strncmp(path, root, root_length) == 0 &&
		(path[root_length] == '/' || path[root_length] == '\0'))
		tail = strcmp(path + root_length, "/") == 0 ? "" : path + root_length;
	if (tail != NULL && point_length + strlen(tail) < CGROUP_PATH_BYTES) {
		memcpy(room->path, point, point_length);
		memcpy(room->path + point_length, tail, strlen(tail) + 1);
		if (has_file(root_fd, room->path, "cgroup.procs")) {
			path_copy(room->directory, room->path);
			path_copy(room->point, point);
			return true;
		}
	}
	if (!has_file(root_fd, point, "cgroup.procs"))
		return false;
	path_copy(room->directory, point);
	path_copy(room->point, point);
	return true;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - type source options" */
static bool mount_parse(char *line, bool v2, char **root, char **point)
{
	char *rest = strstr(line, " - ");
	char *options = NULL;
	char *field = line;

	if (rest == NULL)
		return false;
	*rest = '\0';
	rest += 3;
	for (int i = 0; i < 3 && field != NULL; i++)
		field = cut(field, ' ');
	*root = field;
	*point = field != NULL ? cut(field, ' ') : NULL;
	if (*point == NULL)
		return false;
	(void)cut(*point, ' ');
	field = cut(rest, ' ');
	if (field != NULL)
		options = cut(field, ' ');
	if (strcmp(rest, v2 ? "cgroup2" : "cgroup") != 0 ||
		(!v2 && (options == NULL || !has_word(options, "memory"))))
		return false;
	unescape(*root);
	unescape(*point);
	return true;
}

static bool place_find(int root_fd, bool v2, const char *path, struct cgroup_room *room)
{
	struct lines lines = {.fd = -1, .text = room->line};
	bool found = false;
	char *line;

	if (path[0] == '\0')
		return false;
	lines.fd = open_file(root_fd, "proc/self/mountinfo");
	while (lines.fd >= 0 && (line = lines_next(&lines)) != NULL) {
		char *root;
		char *point;

		if (mount_parse(line, v2, &root, &point) &&
			place_under(root_fd, root, point, path, room))
			found = true;
	}
	close_fd(&lines.fd);
	return found;
}

static void level_close(struct cgroup_level *level)
{
	close_fd(&level->limit_fd);
	close_fd(&level->usage_fd);
	close_fd(&level->stat_fd);
	close_fd(&level->events_fd);
}

/* Its inode: a cgroup's files have the same in every mount.  0: not known. */
static uint64_t file_id(int fd)
{
	struct statx status = {0};

	(void)kernel_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO, (long)&status, 0);
	return status.stx_ino;
}

/* False, and nothing stays open, where the folder has no limit or no usage. */
static bool level_open(int directory_fd, enum cgroup_version version, struct cgroup_level *level)
{
	bool v2 = version == CGROUP_V2;

	*level = (struct cgroup_level){
		.limit_fd = open_file(directory_fd, v2 ? "memory.max" : "memory.limit_in_bytes"),
		.usage_fd =
			open_file(directory_fd, v2 ? "memory.current" : "memory.usage_in_bytes"),
		.stat_fd = open_file(directory_fd, "memory.stat"),
		.events_fd = open_file(directory_fd, v2 ? "memory.events.local" : "memory.failcnt"),
	};
	if (v2 && level->events_fd < 0)
		level->events_fd = open_file(directory_fd, "memory.events");
	if (level->limit_fd >= 0 && level->usage_fd >= 0) {
		level->id = file_id(level->limit_fd);
		return true;
	}
	level_close(level);
	return false;
}

/* One component less; false where that is the mount already. */
static bool path_up(char *path, const char *point)
{
	size_t point_length = strlen(point);
	char *slash = strrchr(path, '/');

	if (strlen(path) <= point_length || slash == NULL)
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return strlen(path) >= point_length;
}

static void levels_open(int root_fd, struct cgroup *cgroup)
{
	struct cgroup_room *room = &cgroup->room;

	do {
		int directory_fd = open_directory(root_fd, room->directory);

		if (directory_fd < 0)
			continue;
		if (cgroup->processes_fd < 0)
			cgroup->processes_fd = open_file(directory_fd, "cgroup.procs");
		if (level_open(directory_fd, cgroup->version, &cgroup->level[cgroup->count]))
			cgroup->count++;
		kernel_close(directory_fd);
	} while (cgroup->count < CGROUP_LEVELS_MAX && path_up(room->directory, room->point));
}

/* The root's file tells about the whole machine. */
static int pressure_open(int root_fd, const char *directory)
{
	int directory_fd = open_directory(root_fd, directory);
	int fd = -1;

	if (directory_fd < 0)
		return -1;
	if (kernel_call(SYS_faccessat, directory_fd, (long)"cgroup.type", F_OK, 0, 0, 0) == 0)
		fd = open_file(directory_fd, "memory.pressure");
	kernel_close(directory_fd);
	return fd;
}

int cgroup_open(int root_fd, struct cgroup *cgroup)
{
	struct cgroup_room *room = &cgroup->room;

	cgroup->count = 0;
	cgroup->pressure_fd = -1;
	cgroup->processes_fd = -1;
	cgroup->place = own_paths_read(root_fd, room);
	cgroup->version = room->v1[0] != '\0' ? CGROUP_V1 : CGROUP_V2;
	if (place_find(root_fd, true, room->v2, room)) {
		cgroup->pressure_fd = pressure_open(root_fd, room->directory);
		if (cgroup->version == CGROUP_V2)
			levels_open(root_fd, cgroup);
	}
	if (cgroup->version == CGROUP_V1 && place_find(root_fd, false, room->v1, room))
		levels_open(root_fd, cgroup);
	if (cgroup->count > 0)
		return 0;
	cgroup_close(cgroup);
	return -ENOENT;
}

void cgroup_close(struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++)
		level_close(&cgroup->level[i]);
	cgroup->count = 0;
	close_fd(&cgroup->pressure_fd);
	close_fd(&cgroup->processes_fd);
}

bool cgroup_has_moved(int root_fd, struct cgroup *cgroup)
{
	return own_paths_read(root_fd, &cgroup->room) != cgroup->place;
}

static bool usage_read(const struct cgroup_level *level, uint64_t *bytes)
{
	char text[SHORT_TEXT_BYTES];
	long length = read_text(level->usage_fd, text, sizeof text);

	return length > 0 && cgroup_text_u64(text, (size_t)length, bytes) == 0;
}

/* False where the level tells nothing. */
static bool level_read(
	const struct cgroup_level *level, struct cgroup *cgroup, struct wall_sample *wall)
{
	char *text = cgroup->room.text;
	long length = read_text(level->limit_fd, text, SHORT_TEXT_BYTES);

	*wall = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	if (length <= 0 || cgroup_text_limit(text, (size_t)length, &wall->limit_bytes) != 0)
		wall->limit_bytes = SAMPLE_NO_LIMIT;
	if (!usage_read(level, &wall->current_bytes))
		return false;
	if (wall->limit_bytes == SAMPLE_NO_LIMIT)
		return true;
	length = read_text(level->stat_fd, text, sizeof cgroup->room.text);
	if (length > 0)
		(void)cgroup_text_reclaimable(text, (size_t)length, cgroup->version, wall);
	if (wall->reclaimable_bytes > wall->current_bytes)
		wall->reclaimable_bytes = wall->current_bytes;
	return true;
}

static void events_add(
	const struct cgroup_level *level, enum cgroup_version version, struct events_sample *sum)
{
	char text[SHORT_TEXT_BYTES];
	struct events_sample events = {0};
	long length = read_text(level->events_fd, text, sizeof text);

	if (length <= 0)
		return;
	if (version == CGROUP_V2)
		cgroup_text_events(text, (size_t)length, &events);
	else
		events.known = cgroup_text_u64(text, (size_t)length, &events.max) == 0;
	sum->known |= events.known;
	sum->high += events.high;
	sum->max += events.max;
}

size_t cgroup_read(struct cgroup *cgroup, struct wall_sample *wall, struct events_sample *events)
{
	size_t tightest = 0;

	*wall = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	*events = (struct events_sample){0};
	for (size_t i = 0; i < cgroup->count; i++) {
		struct wall_sample here;

		if (!level_read(&cgroup->level[i], cgroup, &here))
			continue;
		events_add(&cgroup->level[i], cgroup->version, events);
		if (i == 0 || wall_is_tighter(&here, wall)) {
			*wall = here;
			tightest = i;
		}
	}
	return tightest;
}

void cgroup_read_stall(struct cgroup *cgroup, uint64_t now_ms, struct stall_sample *stall)
{
	char text[SHORT_TEXT_BYTES];
	struct stall_sample read = {.known = true, .read_ms = now_ms};
	long length = read_text(cgroup->pressure_fd, text, sizeof text);

	*stall = (struct stall_sample){0};
	if (length > 0 && cgroup_text_stall(text, (size_t)length, &read) == 0)
		*stall = read;
}

uint32_t cgroup_processes(struct cgroup *cgroup)
{
	char text[SHORT_TEXT_BYTES] = {0};
	uint32_t count = 0;
	long at = 0;

	for (int reads = 0; reads < PROCESSES_READS && cgroup->processes_fd >= 0; reads++) {
		long got = kernel_call(
			SYS_pread64, cgroup->processes_fd, (long)text, sizeof text, at, 0, 0);

		if (got <= 0)
			break;
		at += got;
		for (long i = 0; i < got; i++)
			count += text[i] == '\n';
	}
	return count > 0 ? count : 1;
}
