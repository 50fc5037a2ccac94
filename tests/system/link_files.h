#ifndef TESTS_SYSTEM_LINK_FILES_H
#define TESTS_SYSTEM_LINK_FILES_H

#include "shim/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The link that a service was given, as its environment names it. */

struct link_names {
	int fd[LINK_FILES];
	char socket[128];
	char token[LINK_TOKEN_CHARS + 1];
};

/* 0, or -1: there is none, or one of another version. */
static inline int link_names_read(struct link_names *names)
{
	const char *value = getenv(LINK_ENVIRONMENT);
	unsigned version;
	int count;
	if (value == NULL)
		return -1;
	count = sscanf(value, "%u:%d:%*u:%*u:%d:%*u:%*u:%127[^:]:%32s", &version,
		&names->fd[LINK_FILE_HEADER], &names->fd[LINK_FILE_SLOTS], names->socket,
		names->token);
	return count == 5 && version == LINK_VERSION ? 0 : -1;
}

static inline const struct link_header *link_map_header(const struct link_names *names)
{
	void *map = mmap(
		NULL, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED, names->fd[LINK_FILE_HEADER], 0);
	return map == MAP_FAILED ? NULL : map;
}

static inline struct link_gate *link_map_gate(const struct link_names *names)
{
	void *map = mmap(NULL, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		names->fd[LINK_FILE_SLOTS], 0);
	return map == MAP_FAILED ? NULL : map;
}

#endif
