#ifndef SUPERVISOR_CHECK_H
#define SUPERVISOR_CHECK_H

#include <stddef.h>
#include <stdio.h>

#include "config/config.h"

/*
 * What a file that can be read asks for and this place does not have: users, folders, programs.
 * Each is a line to the stream.  It is about here and now, so a start says it again and goes on
 * without.
 */

/* How many there are. */
size_t check_services(const char *file, const struct config *config, FILE *stream);

/* What the keys about a service's cgroup come to here: a line for each service where some of them
 * have no effect. */
void check_limits(const char *file, const struct config *config, FILE *stream);

/* Says of each service with allocator = auto which one that is here, by its program's file alone:
 * what LD_PRELOAD will be is not known.  Nothing of one that no library is preloaded into. */
void check_say_allocators(const char *file, const struct config *config, FILE *stream);

#endif
