/* Finds out by trying how much of cgroup v2 may be used here. */
#include "supervisor/cgroup/mode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/root.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/psi.h"

/* The two trees that there may be. */
enum tree { TREE_V2, TREE_V1, TREES };

/* What /proc/self/cgroup says; v1's is that of the tree with the memory controller.
 * "" = not in any. */
struct own_paths {
	char path[TREES][MODE_PATH_BYTES];
};

/* One line of mountinfo that concerns us. */
struct cgroup_mount {
	enum tree tree;
	char root[MODE_PATH_BYTES];
	char point[MODE_PATH_BYTES];
};

/* Our cgroup in one tree, and where that is mounted; both "" = it cannot be seen. */
struct own_place {
	char directory[MODE_PATH_BYTES];
	char point[MODE_PATH_BYTES];
};

static FILE *open_text(int root_fd, const char *path)
{
	int fd = root_open_file(root_fd, path);
	if (fd < 0)
		return NULL;
	FILE *file = fdopen(fd, "r");
	if (file == NULL)
		close(fd);
	return file;
}

/* Is word one of the comma-separated words? */
static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);
	for (const char *at = words; at != NULL; at = strchr(at, ',')) {
		if (*at == ',')
			at++;
		if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

static void copy_path(char *to, const char *from)
{
	if (strlen(from) < MODE_PATH_BYTES)
		memcpy(to, from, strlen(from) + 1);
}

static void read_own_paths(int root_fd, struct own_paths *own)
{
	char *line = NULL;
	size_t size = 0;
	memset(own, 0, sizeof *own);
	FILE *file = open_text(root_fd, "proc/self/cgroup");
	if (file == NULL)
		return;
	while (getline(&line, &size, file) > 0) {
		char *controllers = strchr(line, ':');
		if (controllers == NULL)
			continue;
		char *path = strchr(++controllers, ':');
		if (path == NULL)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (path[0] != '/')
			continue;
		if (strncmp(line, "0:", 2) == 0 && *controllers == '\0')
			copy_path(own->path[TREE_V2], path);
		else if (has_word(controllers, "memory"))
			copy_path(own->path[TREE_V1], path);
	}
	free(line);
	fclose(file);
}

/* mountinfo writes blanks and backslashes in octal. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
			from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 +
				       (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /point rw,noatime master:1 - type source options".  The line is cut up. */
static bool parse_mount(char *line, struct cgroup_mount *mount)
{
	char *state = NULL;
	char *field[6];
	char *rest = strstr(line, " - ");
	if (rest == NULL)
		return false;
	*rest = '\0';
	rest += 3;
	for (size_t i = 0; i < 6; i++) {
		field[i] = strtok_r(i == 0 ? line : NULL, " ", &state);
		if (field[i] == NULL)
			return false;
	}
	char *type = strtok_r(rest, " ", &state);
	char *source = strtok_r(NULL, " ", &state);
	char *options = strtok_r(NULL, " \n", &state);
	if (type == NULL || source == NULL)
		return false;
	if (strcmp(type, "cgroup2") == 0)
		mount->tree = TREE_V2;
	else if (strcmp(type, "cgroup") == 0 && options != NULL && has_word(options, "memory"))
		mount->tree = TREE_V1;
	else
		return false;
	if (strlen(field[3]) >= MODE_PATH_BYTES || strlen(field[4]) >= MODE_PATH_BYTES)
		return false;
	memcpy(mount->root, field[3], strlen(field[3]) + 1);
	memcpy(mount->point, field[4], strlen(field[4]) + 1);
	unescape(mount->root);
	unescape(mount->point);
	return true;
}

static bool has_file(int root_fd, const char *directory, const char *name)
{
	struct stat status;
	int fd = root_open_directory(root_fd, directory);
	if (fd < 0)
		return false;
	bool found = fstatat(fd, name, &status, 0) == 0;
	close(fd);
	return found;
}

/*
 * Where path, which is seen from the cgroup namespace, is under this mount.
 *
 * Usually the mount's root is a beginning of the path.  Where it is not, the
 * path is one of the host's and the mount shows only our part of the tree: then the mount
 * itself is the best there is.  A root that begins with "/.." was mounted
 * outside our cgroup namespace, and nothing tells where in it we are.
 */
static bool place_under(int root_fd, const struct cgroup_mount *mount, const char *path,
	char directory[MODE_PATH_BYTES])
{
	size_t root_length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
	const char *tail = NULL;
	if (strncmp(mount->root, "/..", 3) == 0)
		return false;
	if (strncmp(path, mount->root, root_length) == 0 &&
		(path[root_length] == '/' || path[root_length] == '\0'))
		tail = strcmp(path + root_length, "/") == 0 ? "" : path + root_length;
	if (tail != NULL) {
		int length = snprintf(directory, MODE_PATH_BYTES, "%s%s", mount->point, tail);
		if (length < MODE_PATH_BYTES && has_file(root_fd, directory, "cgroup.procs"))
			return true;
	}
	if (strlen(mount->point) >= MODE_PATH_BYTES ||
		!has_file(root_fd, mount->point, "cgroup.procs"))
		return false;
	memcpy(directory, mount->point, strlen(mount->point) + 1);
	return true;
}

/* The last mount that shows us wins: what is mounted later lies on top.  The list is read once,
 * since it takes the kernel longer than all else that is asked here. */
static void find_own(int root_fd, const struct own_paths *own, struct own_place place[TREES])
{
	char *line = NULL;
	size_t size = 0;
	struct cgroup_mount mount;
	for (enum tree tree = 0; tree < TREES; tree++)
		place[tree].directory[0] = place[tree].point[0] = '\0';
	FILE *file = open_text(root_fd, "proc/self/mountinfo");
	if (file == NULL)
		return;
	while (getline(&line, &size, file) > 0) {
		char directory[MODE_PATH_BYTES];
		if (strstr(line, " - cgroup") == NULL || !parse_mount(line, &mount))
			continue;
		const char *path = own->path[mount.tree];
		if (path[0] == '\0' || !place_under(root_fd, &mount, path, directory))
			continue;
		memcpy(place[mount.tree].directory, directory, strlen(directory) + 1);
		memcpy(place[mount.tree].point, mount.point, strlen(mount.point) + 1);
	}
	free(line);
	fclose(file);
}

static bool v2_has_memory(int directory_fd)
{
	char text[512];
	int length = cgroup_directory_read(directory_fd, "cgroup.controllers", text, sizeof text);
	if (length <= 0)
		return false;
	for (char *at = text; *at != '\0'; at++)
		if (*at == ' ' || *at == '\n')
			*at = ',';
	return has_word(text, "memory");
}

/* 0 where a child can be made and controllers handed to children, else -errno. */
static int probe_children(int directory_fd)
{
	char name[64];
	snprintf(name, sizeof name, "spillway-probe.%ld", (long)getpid());
	if (faccessat(directory_fd, "cgroup.subtree_control", W_OK, AT_EACCESS) != 0 ||
		mkdirat(directory_fd, name, 0755) != 0)
		return -errno;
	unlinkat(directory_fd, name, AT_REMOVEDIR);
	return 0;
}

static int try_trigger(int directory_fd, const char *path, uint32_t window_ms)
{
	const struct config_psi pressure = {
		.kind = CONFIG_PSI_SOME, .permille = 100, .window_ms = window_ms};
	struct psi_watch watch = PSI_WATCH_NONE;
	int error = psi_open_trigger(&watch, directory_fd, path, &pressure, window_ms);
	psi_close(&watch);
	return error;
}

/*
 * The shortest window we are allowed.  The root of a cgroup namespace refuses
 * triggers whoever asks, and so does nothing about what a leaf will say; the machine's
 * file is open to all and subject to the same rule.
 */
static uint32_t probe_window(int root_fd, int directory_fd)
{
	static const uint32_t tried_ms[] = {1000, 2000};
	uint32_t window_ms = 0;
	for (size_t i = 0; i < 2 && window_ms == 0; i++) {
		int error = -ENOENT;
		if (directory_fd >= 0)
			error = try_trigger(directory_fd, "memory.pressure", tried_ms[i]);
		if (error != 0 && error != -EINVAL)
			error = try_trigger(root_fd, "proc/pressure/memory", tried_ms[i]);
		if (error == 0)
			window_ms = tried_ms[i];
	}
	return window_ms == 1000 ? 500 : window_ms;
}

static const char *window_text(uint32_t window_ms)
{
	switch (window_ms) {
	case 500:
		return "PSI triggers down to 500 ms";
	case 2000:
		return "PSI triggers from 2 s (no CAP_SYS_RESOURCE)";
	default:
		return "no PSI triggers (the kernel refuses them)";
	}
}

static void set_line(struct mode *mode, const char *text)
{
	snprintf(mode->line, sizeof mode->line, "mode %c: %s", "ABCD"[mode->letter], text);
}

static void probe_v2(int root_fd, int directory_fd, struct mode *mode)
{
	char text[MODE_LINE_BYTES - 16];
	int error = probe_children(directory_fd);
	mode->v2 = true;
	if (error != 0) {
		mode->letter = MODE_C;
		snprintf(text, sizeof text,
			"cgroup v2 at %.400s, read-only (%s): no leaves, no brake, no PSI triggers",
			mode->directory, strerror(-error));
	} else {
		mode->window_ms = probe_window(root_fd, directory_fd);
		mode->letter = mode->window_ms == 500 ? MODE_A : MODE_B;
		snprintf(text, sizeof text, "cgroup v2 at %.400s, writable, %s", mode->directory,
			window_text(mode->window_ms));
	}
	set_line(mode, text);
}

static void probe_v1(int root_fd, int pressure_fd, struct mode *mode)
{
	char text[MODE_LINE_BYTES - 16];
	mode->letter = MODE_D;
	if (mode->pressure_directory[0] != '\0')
		mode->window_ms = probe_window(root_fd, pressure_fd);
	if (mode->directory[0] != '\0')
		snprintf(text, sizeof text,
			"memory controller on cgroup v1 at %.400s: no leaves, no brake; %s%.100s",
			mode->directory,
			mode->pressure_directory[0] != '\0' ? "stall from " : "no stall of our own",
			mode->pressure_directory);
	else
		snprintf(text, sizeof text,
			"no memory controller in any cgroup tree we can see: no limit known, "
			"no leaves, no brake; stall from /proc/pressure/memory");
	set_line(mode, text);
}

static void set_place(struct mode *mode, const struct own_place *place)
{
	memcpy(mode->directory, place->directory, sizeof mode->directory);
	memcpy(mode->mount, place->point, sizeof mode->mount);
}

void mode_probe(int root_fd, struct mode *mode)
{
	struct own_paths own;
	struct own_place place[TREES];
	struct stat status;
	memset(mode, 0, sizeof *mode);
	read_own_paths(root_fd, &own);
	find_own(root_fd, &own, place);
	const char *v2 = place[TREE_V2].directory;
	int v2_fd = v2[0] != '\0' ? root_open_directory(root_fd, v2) : -1;
	/* The root of the whole hierarchy has no type. */
	bool has_type = v2_fd >= 0 && fstatat(v2_fd, "cgroup.type", &status, 0) == 0;
	if (has_type)
		memcpy(mode->pressure_directory, v2, sizeof mode->pressure_directory);
	if (v2_fd >= 0 && v2_has_memory(v2_fd)) {
		mode->namespace_root = has_type && strcmp(own.path[TREE_V2], "/") == 0;
		mode->machine_root = !has_type;
		set_place(mode, &place[TREE_V2]);
		probe_v2(root_fd, v2_fd, mode);
	} else {
		set_place(mode, &place[TREE_V1]);
		probe_v1(root_fd, v2_fd, mode);
	}
	if (v2_fd >= 0)
		close(v2_fd);
}

void mode_degrade(struct mode *mode, const char *why)
{
	char text[MODE_LINE_BYTES - 16];
	mode->letter = MODE_C;
	mode->window_ms = 0;
	snprintf(text, sizeof text,
		"cgroup v2 at %.300s, writable, but %.200s: no leaves, no brake, no PSI triggers",
		mode->directory, why);
	set_line(mode, text);
}
