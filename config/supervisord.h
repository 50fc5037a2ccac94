#ifndef CONFIG_SUPERVISORD_H
#define CONFIG_SUPERVISORD_H

#include "config/loader.h"

/*
 * supervisord's sections, with supervisord's meaning and defaults.
 *
 *   [program:x]     a service, or numprocs of them: program.h
 *   [group:x]       %(group_name)s of its programs, and their order
 *   [include]       files: further texts
 *   [supervisord]   environment, user, directory, umask of its programs; childlogdir, identifier
 *   the servers, rpcinterface, supervisorctl
 *                   are named and have no effect
 *   [eventlistener:x], [fcgi-program:x]
 *                   are refused
 *
 * As supervisord has it, sections of one name are one, a key that stands twice has the value of the
 * last, and a key that is not known is passed over; that it is, is noted.
 */

/* The line is such a section's. */
void supervisord_open(struct loader *loader);

/* A key of raw_now. */
void supervisord_key(struct loader *loader, const char *name, const char *value);

/* Has the files of [include] read. */
void supervisord_include(struct loader *loader,
	void (*read)(void *context, const char *path, unsigned place), void *context);

/* When all is read: makes the services. */
void supervisord_finish(struct loader *loader);

void supervisord_free(struct loader *loader);

#endif
