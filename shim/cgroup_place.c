/* Where the process's own cgroup is, by what /proc says; its files are cgroup.c's. */
#include "shim/cgroup_place.h"

#include "shim/kernel.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES sizeof(((struct cgroup_room *)NULL)->line)

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

int cgroup_place_open_file(int directory_fd, const char *name)
{
	return open_at(directory_fd, name, O_RDONLY | O_NONBLOCK);
}

int cgroup_place_open_directory(int root_fd, const char *path)
{
	return open_at(root_fd, path, O_PATH | O_DIRECTORY);
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

/* Lines are "HIERARCHY:CONTROLLERS:PATH". */
uint64_t cgroup_place_read(int root_fd, struct cgroup_room *room)
{
	struct lines lines = {
		.fd = cgroup_place_open_file(root_fd, "proc/self/cgroup"), .text = room->line};
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
	if (lines.fd >= 0)
		kernel_close(lines.fd);
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
	int directory_fd = cgroup_place_open_directory(root_fd, directory);
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

bool cgroup_place_find(int root_fd, bool v2, const char *path, struct cgroup_room *room)
{
	struct lines lines = {.fd = -1, .text = room->line};
	bool found = false;
	char *line;

	if (path[0] == '\0')
		return false;
	lines.fd = cgroup_place_open_file(root_fd, "proc/self/mountinfo");
	while (lines.fd >= 0 && (line = lines_next(&lines)) != NULL) {
		char *root;
		char *point;

		if (mount_parse(line, v2, &root, &point) &&
			place_under(root_fd, root, point, path, room))
			found = true;
	}
	if (lines.fd >= 0)
		kernel_close(lines.fd);
	return found;
}
