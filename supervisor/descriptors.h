#ifndef SUPERVISOR_DESCRIPTORS_H
#define SUPERVISOR_DESCRIPTORS_H

#include <stddef.h>

/*
 * The descriptors we were started with.
 *
 * From 3 on they are meant for the service (socket activation, a shell's
 * redirections), so a child inherits them; but as long as we kept them open too, no
 * reader of such a pipe would ever see its end.  So they are noted before
 * anything is opened, and closed once the service has them.
 */
struct descriptors {
	int *inherited; /* owned */
	size_t count;
};

/*
 * Fills 0, 1 and 2 with /dev/null where they are closed, or the first things
 * we open would land there; children find them closed, as they would without us.
 * 0 or -errno.
 */
int descriptors_note(struct descriptors *descriptors);

/* Closes them and forgets. */
void descriptors_close(struct descriptors *descriptors);

/* Forgets them and leaves them open. */
void descriptors_free(struct descriptors *descriptors);

#endif
