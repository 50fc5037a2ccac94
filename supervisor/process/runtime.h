#ifndef SUPERVISOR_PROCESS_RUNTIME_H
#define SUPERVISOR_PROCESS_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/process/environment.h"

/*
 * Language runtimes: how a program is known to be one, and what its environment is given at the
 * start so that its own heap stays below the service's memory limit.
 *
 * One row of a table for each runtime, and one for glibc's malloc.  What the user has set is never
 * changed: a row is left out where its variable is set, or where an option that decides the
 * same stands in one of the runtime's variables or among the arguments.  Lists of options
 * (NODE_OPTIONS, JAVA_TOOL_OPTIONS) are appended to.
 *
 *   node    NODE_OPTIONS --max-old-space-size     75% of the limit
 *   java    JAVA_TOOL_OPTIONS -XX:MaxRAM, and -XX:MaxRAMPercentage=70 of that
 *   go      GOMEMLIMIT                            90%
 *   dotnet  DOTNET_GCHeapHardLimit                75%
 *   python  PYTHONMALLOC=malloc                   where our heap is preloaded and there is a limit
 *   glibc   MALLOC_ARENA_MAX                      as many as CPUs, at least 2; without our heap
 *
 * All of it needs runtime_limits: it changes what the runtime may use, or what it costs.
 * PYTHONMALLOC brings Python's objects into our heap, which can give them back; its price is in the
 * README.
 */

/* What a program shows of itself; CONFIG_RUNTIME_AUTO = none is known. */
enum config_runtime runtime_of_name(const char *path);
/* The strings of its dynamic section: the libraries that it needs and the symbols it exports. */
enum config_runtime runtime_of_strings(const char *strings, size_t bytes);
/* The owner of an ELF note, with its final NUL. */
enum config_runtime runtime_of_note(const char *owner, size_t bytes);

/* What decides about the environment. */
struct runtime_start {
	enum config_runtime runtime; /* AUTO or OFF: only what concerns malloc */
	bool limits;                 /* runtime_limits */
	bool has_heap;               /* our heap is preloaded */
	bool has_libc_heap;          /* without it a malloc of glibc's serves the program */
	uint64_t limit_bytes; /* the service's part of the nearest limit; UINT64_MAX = none */
	unsigned cpus;        /* that it may use */
	char *const *argv;
};

#define RUNTIME_GIVEN_MAX 2
#define RUNTIME_GIVEN_BYTES 96

/* What was added, as "NAME=value"; of a list of options only our part. */
struct runtime_given {
	size_t count;
	char text[RUNTIME_GIVEN_MAX][RUNTIME_GIVEN_BYTES];
};

/* 0 or -ENOMEM. */
int runtime_give(const struct runtime_start *start, struct environment *environment,
	struct runtime_given *given);

#endif
