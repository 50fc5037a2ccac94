/* Whether a program can be started with the shim preloaded. */
#include "supervisor/process/shim_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "supervisor/process/elf_file.h"
#include "supervisor/process/runtime.h"

/* The kernel follows as many interpreters of interpreters. */
#define INTERPRETERS_MAX 4
#define FIRST_LINE_BYTES 256
#define DEFAULT_PATH "/bin:/usr/bin"

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#elif defined(__i386__)
#define MULTIARCH "i386-linux-gnu"
#elif defined(__arm__) && defined(__ARM_PCS_VFP)
#define MULTIARCH "arm-linux-gnueabihf"
#elif defined(__riscv) && __riscv_xlen == 64
#define MULTIARCH "riscv64-linux-gnu"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define MULTIARCH "powerpc64le-linux-gnu"
#elif defined(__s390x__)
#define MULTIARCH "s390x-linux-gnu"
#endif

static void refuse(struct shim_verdict *verdict, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void refuse(struct shim_verdict *verdict, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(verdict->reason, sizeof verdict->reason, format, arguments);
	va_end(arguments);
	verdict->load = false;
}

/* The child's working directory, for names that are relative to it. */
static int open_directory(const struct shim_check *check)
{
	int start =
		open(check->start != NULL ? check->start : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (start < 0 || check->directory == NULL)
		return start;
	int directory = openat(start, check->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(start);
	return directory;
}

static bool can_run(int directory, const char *path)
{
	struct stat status;
	return fstatat(directory, path, &status, 0) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_mode & 0111) != 0;
}

/* execvp's rule: a name with a slash is a path, else the first that can be run. */
static bool find_program(int directory, const char *path, const char *name, char found[PATH_MAX])
{
	const char *element = path != NULL ? path : DEFAULT_PATH;
	if (strchr(name, '/') != NULL)
		return snprintf(found, PATH_MAX, "%s", name) < PATH_MAX &&
		       can_run(directory, found);
	for (;;) {
		size_t length = strcspn(element, ":");
		/* An empty one means the working directory. */
		int wanted = length == 0 ? snprintf(found, PATH_MAX, "./%s", name)
					 : snprintf(found, PATH_MAX, "%.*s/%s", (int)length,
						   element, name);
		if (wanted < PATH_MAX && can_run(directory, found))
			return true;
		if (element[length] == '\0')
			return false;
		element += length + 1;
	}
}

/* Whether the kernel would start it in secure mode, where the loader ignores preloads. */
static bool is_privileged(int fd, const struct shim_check *check, struct shim_verdict *verdict)
{
	struct stat status;
	struct statvfs mount;
	if (fstat(fd, &status) != 0)
		return false;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0)
		return false;
	bool other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != check->uid;
	bool other_group = (status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
			   status.st_gid != check->gid;
	if (other_user || other_group) {
		refuse(verdict, "it is set%cid", other_user ? 'u' : 'g');
		return true;
	}
	if (check->uid != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0) {
		refuse(verdict, "it has file capabilities");
		return true;
	}
	return false;
}

/* glibc's and musl's. */
static bool is_known_loader(const char *interpreter)
{
	static const char *const names[] = {"ld-linux", "ld64.so", "ld.so", "ld-2.", "ld-musl-"};
	const char *slash = strrchr(interpreter, '/');
	const char *name = slash != NULL ? slash + 1 : interpreter;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void judge_program(
	const struct elf_file *program, const struct elf_file *shim, struct shim_verdict *verdict)
{
	if (program->machine != shim->machine ||
		memcmp(program->class_and_data, shim->class_and_data, 2) != 0 ||
		!program->is_readable)
		refuse(verdict, "another architecture than the library's");
	else if (program->interpreter[0] == '\0')
		refuse(verdict, "statically linked");
	else if (!is_known_loader(program->interpreter))
		refuse(verdict, "another loader, %.80s", program->interpreter);
	else if (program->sanitizer[0] != '\0')
		refuse(verdict, "built with a sanitizer, %.80s", program->sanitizer);
	else
		verdict->load = true;
	snprintf(verdict->allocator, sizeof verdict->allocator, "%.63s", program->allocator);
}

/* The two words of a "#!" line; the kernel passes the rest of the line as one. */
struct script {
	char line[FIRST_LINE_BYTES];
	char *interpreter;
	char *rest;
};

static bool read_script(int fd, struct script *script)
{
	ssize_t got = pread(fd, script->line, sizeof script->line - 1, 0);
	if (got < 2 || script->line[0] != '#' || script->line[1] != '!')
		return false;
	script->line[got] = '\0';
	script->line[strcspn(script->line, "\n")] = '\0';
	char *at = script->line + 2;
	at += strspn(at, " \t");
	script->interpreter = at;
	at += strcspn(at, " \t");
	if (*at != '\0')
		*at++ = '\0';
	script->rest = at + strspn(at, " \t");
	return script->interpreter[0] != '\0';
}

/* The program that "env" is to run; NULL where that cannot be told. */
static char *env_program(struct script *script)
{
	const char *slash = strrchr(script->interpreter, '/');
	char *word;
	char *rest = script->rest;
	if (strcmp(slash != NULL ? slash + 1 : script->interpreter, "env") != 0)
		return NULL;
	while ((word = strsep(&rest, " \t")) != NULL)
		if (word[0] != '\0' && strcmp(word, "-S") != 0 && strchr(word, '=') == NULL)
			return word[0] == '-' ? NULL : word;
	return NULL;
}

struct search {
	const struct shim_check *check;
	const struct elf_file *shim;
	int directory;
	int depth;
};

static void judge(const struct search *search, const char *name, struct shim_verdict *verdict);

static void judge_script(
	const struct search *search, struct script *script, struct shim_verdict *verdict)
{
	struct search deeper = *search;
	if (++deeper.depth > INTERPRETERS_MAX) {
		refuse(verdict, "too many interpreters");
		return;
	}
	judge(&deeper, script->interpreter, verdict);
	char *next = verdict->load ? env_program(script) : NULL;
	if (next != NULL) {
		verdict->load = false;
		judge(&deeper, next, verdict);
	}
}

static void judge_file(const struct search *search, const char *name, const struct elf_file *file,
	struct shim_verdict *verdict)
{
	verdict->runtime = file->runtime;
	if (verdict->runtime == CONFIG_RUNTIME_AUTO)
		verdict->runtime = runtime_of_name(name);
	verdict->has_libc_heap = is_known_loader(file->interpreter);
	if (search->shim != NULL)
		judge_program(file, search->shim, verdict);
	else
		verdict->load = true;
}

static void judge(const struct search *search, const char *name, struct shim_verdict *verdict)
{
	char path[PATH_MAX];
	struct script script;
	struct elf_file file;
	if (!find_program(search->directory, search->check->path, name, path)) {
		refuse(verdict, "%.80s was not found", name);
		verdict->is_missing = search->depth == 0;
		return;
	}
	int fd = openat(search->directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		refuse(verdict, "%.80s cannot be read: %s", name, strerror(errno));
		return;
	}
	if (read_script(fd, &script)) {
		judge_script(search, &script, verdict);
		goto out;
	}
	if (is_privileged(fd, search->check, verdict))
		goto out;
	int error = elf_file_read(fd, &file);
	if (error == -ENOEXEC)
		refuse(verdict, "%.80s is neither an ELF program nor a script", name);
	else if (error != 0)
		refuse(verdict, "%.80s cannot be read: %s", name, strerror(-error));
	else
		judge_file(search, name, &file, verdict);
out:
	close(fd);
}

/* The bits of one kind, 4 read or 1 search, that count for that user.  Access lists and further
 * groups are not asked: they may allow more, and then a library is left out that need not be. */
static bool is_allowed(const struct stat *status, const struct shim_check *check, mode_t bit)
{
	if (status->st_uid == check->uid)
		return (status->st_mode & (bit << 6)) != 0;
	if (status->st_gid == check->gid)
		return (status->st_mode & (bit << 3)) != 0;
	return (status->st_mode & bit) != 0;
}

/* The loader looks for the library as the service's user. */
static bool can_reach(const struct shim_check *check)
{
	char path[PATH_MAX];
	struct stat status;
	if (check->uid == 0)
		return true;
	if (snprintf(path, sizeof path, "%s", check->shim) >= PATH_MAX)
		return false;
	if (stat(path, &status) != 0 || !is_allowed(&status, check, 4))
		return false;
	for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
		slash[slash == path] = '\0';
		if (stat(path, &status) != 0 || !is_allowed(&status, check, 1))
			return false;
		*slash = '\0';
	}
	return true;
}

static bool can_map(const char *shim)
{
	struct statvfs mount;
	return statvfs(shim, &mount) != 0 || (mount.f_flag & ST_NOEXEC) == 0;
}

static int read_shim(const char *path, struct elf_file *shim)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int error = elf_file_read(fd, shim);
	close(fd);
	return error;
}

static const char *library_name(const struct shim_check *check)
{
	const char *slash = strrchr(check->shim, '/');
	return slash != NULL && strcmp(slash + 1, SHIM_AGENT) == 0 ? SHIM_AGENT : SHIM_LIBRARY;
}

/* Whether the library itself stands in the way. */
static bool can_preload(
	const struct shim_check *check, struct elf_file *shim, struct shim_verdict *verdict)
{
	int error = read_shim(check->shim, shim);
	if (error != 0)
		refuse(verdict, "%s cannot be read: %s", library_name(check), strerror(-error));
	else if (!can_reach(check))
		refuse(verdict, "its user cannot read %s", library_name(check));
	else if (!can_map(check->shim))
		refuse(verdict, "%s lies on a mount without execution", library_name(check));
	/* The list of preloads is split at both, and knows no quoting. */
	else if (strpbrk(check->shim, " :") != NULL)
		refuse(verdict, "a blank or colon in the library's path");
	return verdict->reason[0] == '\0';
}

void shim_check(const struct shim_check *check, struct shim_verdict *verdict)
{
	struct elf_file shim = {0};
	*verdict = (struct shim_verdict){.load = false};
	if (check->shim != NULL && !can_preload(check, &shim, verdict))
		return;
	struct search search = {.check = check,
		.shim = check->shim != NULL ? &shim : NULL,
		.directory = open_directory(check)};
	if (search.directory < 0) {
		refuse(verdict, "its directory cannot be entered: %s", strerror(errno));
		return;
	}
	judge(&search, check->program, verdict);
	close(search.directory);
}

int shim_program(const struct shim_check *check, char found[PATH_MAX])
{
	struct stat status;
	int directory = open_directory(check);
	if (directory < 0)
		return -errno;
	int error = find_program(directory, check->path, check->program, found) ? 0 : -ENOENT;
	if (error != 0 && strchr(check->program, '/') != NULL &&
		fstatat(directory, check->program, &status, 0) == 0)
		error = -EACCES;
	close(directory);
	return error;
}

/* The length of the folder that a path is in; 0 = it is the root, or none. */
static size_t folder_length(const char *path, size_t length)
{
	while (length > 0 && path[length - 1] != '/')
		length--;
	while (length > 0 && path[length - 1] == '/')
		length--;
	return length;
}

int shim_find(const char *program_path, const char *library, char found[PATH_MAX])
{
	static const char *const places[] = {
		"lib",
#ifdef MULTIARCH
		"lib/" MULTIARCH,
#endif
	};
	size_t length = folder_length(program_path, strlen(program_path));
	length = folder_length(program_path, length);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		int wanted = snprintf(found, PATH_MAX, "%.*s/%s/%s", (int)length, program_path,
			places[i], library);
		if (wanted < PATH_MAX && access(found, F_OK) == 0)
			return 0;
	}
	return -ENOENT;
}
