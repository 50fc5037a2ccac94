/* Finds users and their groups in files, and asks getent for others. */
#include "supervisor/process/account_lookup.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOURCES_FILE "/etc/nsswitch.conf"

struct group_list {
	gid_t *gid;
	size_t count;
	size_t room;
};

/* What follows "database:" in the line, if it names anything but files. */
static bool line_names_others(char *line, const char *database)
{
	char *state = NULL;
	size_t length = strlen(database);
	line += strspn(line, " \t");
	if (strncmp(line, database, length) != 0 || line[length] != ':')
		return false;
	line[strcspn(line, "#\n")] = '\0';
	for (const char *word = strtok_r(line + length + 1, " \t", &state); word != NULL;
		word = strtok_r(NULL, " \t", &state))
		if (strcmp(word, "files") != 0 && word[0] != '[')
			return true;
	return false;
}

/* Whether getent may know more than the files.  initgroups, where it is set, is asked for groups.
 */
static bool has_other_sources(const char *database, const char *other_database)
{
	char line[512];
	char copy[512];
	bool found = false;
	FILE *file = fopen(SOURCES_FILE, "re");
	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof line, file) != NULL) {
		memcpy(copy, line, sizeof copy);
		found = line_names_others(line, database) ||
			(other_database != NULL && line_names_others(copy, other_database));
	}
	fclose(file);
	return found;
}

static int spawn_getent(const char *database, const char *key, int output, pid_t *pid)
{
	char *words[] = {(char *)"getent", (char *)database, (char *)key, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	int error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (error == 0)
		error = posix_spawnp(pid, words[0], &actions, &attributes, words, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/* Its answer, in a file since fgetpwent() reads no pipe; NULL = it cannot be asked. */
static FILE *ask(const char *database, const char *key)
{
	pid_t pid;
	/* It would be taken for an option. */
	int fd = key[0] != '-' ? memfd_create("spillway-getent", MFD_CLOEXEC) : -1;
	if (fd < 0)
		return NULL;
	bool has_run = spawn_getent(database, key, fd, &pid) == 0;
	while (has_run && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	FILE *answer = has_run && lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "r") : NULL;
	if (answer == NULL)
		close(fd);
	return answer;
}

/* Entries that begin with a sign ask for NIS and are none. */
static const struct passwd *find_user(FILE *stream, const char *name, uid_t uid)
{
	const struct passwd *entry;
	while ((entry = fgetpwent(stream)) != NULL) {
		if (entry->pw_name[0] == '+' || entry->pw_name[0] == '-')
			continue;
		if (name != NULL ? strcmp(entry->pw_name, name) == 0 : entry->pw_uid == uid)
			break;
	}
	return entry;
}

const struct passwd *account_lookup_user(const char *name, uid_t uid)
{
	char number[16];
	const struct passwd *entry = NULL;
	FILE *file = fopen("/etc/passwd", "re");
	if (file != NULL) {
		entry = find_user(file, name, uid);
		fclose(file);
	}
	if (entry != NULL || !has_other_sources("passwd", NULL))
		return entry;
	snprintf(number, sizeof number, "%u", (unsigned)uid);
	file = ask("passwd", name != NULL ? name : number);
	if (file == NULL)
		return NULL;
	entry = find_user(file, name, uid);
	fclose(file);
	return entry;
}

static int add_group(struct group_list *list, gid_t gid)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->gid[i] == gid)
			return 0;
	if (list->count == list->room) {
		size_t room = list->room * 2 + 32;
		gid_t *grown = realloc(list->gid, room * sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		list->gid = grown;
		list->room = room;
	}
	list->gid[list->count++] = gid;
	return 0;
}

static bool is_member(const struct group *entry, const char *name)
{
	for (char **member = entry->gr_mem; *member != NULL; member++)
		if (strcmp(*member, name) == 0)
			return true;
	return false;
}

static int add_from_file(struct group_list *list, const char *name)
{
	int error = 0;
	const struct group *entry;
	FILE *file = fopen("/etc/group", "re");
	if (file == NULL)
		return 0;
	while (error == 0 && (entry = fgetgrent(file)) != NULL)
		if (is_member(entry, name))
			error = add_group(list, entry->gr_gid);
	fclose(file);
	return error;
}

/* "name  100 27 4711" */
static int add_from_others(struct group_list *list, const char *name)
{
	unsigned gid;
	int error = 0;
	FILE *answer = ask("initgroups", name);
	if (answer == NULL)
		return 0;
	if (fscanf(answer, "%*s") != EOF)
		while (error == 0 && fscanf(answer, "%u", &gid) == 1)
			error = add_group(list, (gid_t)gid);
	fclose(answer);
	return error;
}

int account_lookup_groups(const char *name, gid_t gid, gid_t **groups, size_t *count)
{
	struct group_list list = {0};
	int error = add_group(&list, gid);
	if (error == 0)
		error = add_from_file(&list, name);
	if (error == 0 && has_other_sources("group", "initgroups"))
		error = add_from_others(&list, name);
	if (error != 0) {
		free(list.gid);
		return error;
	}
	*groups = list.gid;
	*count = list.count;
	return 0;
}
