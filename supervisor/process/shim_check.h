#ifndef SUPERVISOR_PROCESS_SHIM_CHECK_H
#define SUPERVISOR_PROCESS_SHIM_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"

/*
 * Whether a program can be started with the shim preloaded.
 *
 * A preload must never keep a service from starting, and it may do so where the
 * program belongs to another libc than glibc and musl, which shim/libc.h knows, and does
 * where it belongs to a sanitizer (whose runtime insists on coming first).  Where the loader
 * would merely ignore it (static, setuid, file capabilities) or complain about
 * it in every child (another architecture), it is left out as well.
 *
 * The same goes for a library that the service's user cannot read.
 *
 * What is read is what execvp would run: the name is looked up in that PATH,
 * #! lines are followed as the kernel does, and "#!/usr/bin/env NAME" is
 * followed to NAME.
 * Files are read, never run, and their contents are treated as anybody's.
 */

#define SHIM_CHECK_REASON_BYTES 160
#define SHIM_CHECK_NAME_BYTES 64
#define SHIM_LIBRARY "libspillway.so"
#define SHIM_AGENT "libspillway-agent.so"

struct shim_check {
	const char *program;   /* argv[0] */
	const char *path;      /* the child's PATH; NULL = execvp's default */
	const char *start;     /* where the child starts from; NULL = where we are */
	const char *directory; /* the child's working directory, from there; NULL = that */
	const char *shim;      /* absolute path of the library; NULL = only the runtime is asked */
	uid_t uid;             /* whom the child runs as */
	gid_t gid;
};

struct shim_verdict {
	bool load;
	bool is_missing;                       /* why not: the program itself was not found */
	char allocator[SHIM_CHECK_NAME_BYTES]; /* what names it in the program, elf_file.h; "" */
	char reason[SHIM_CHECK_REASON_BYTES];  /* why not; empty where it loads */
	enum config_runtime runtime;           /* of the program; CONFIG_RUNTIME_AUTO = none */
	bool has_libc_heap; /* it is dynamic, with a loader of glibc's or musl's */
};

void shim_check(const struct shim_check *check, struct shim_verdict *verdict);

/* What execvp would run of program, in path, start and directory: 0, or -errno: -EACCES is a file
 * that cannot be executed. */
int shim_program(const struct shim_check *check, char found[PATH_MAX]);

/* Where the library of that name of the program at that path is: ../lib, or ../lib/<multiarch>,
 * seen from its folder.  0, or -ENOENT. */
int shim_find(const char *program_path, const char *library, char found[PATH_MAX]);

#endif
