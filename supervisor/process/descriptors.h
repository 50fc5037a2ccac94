#ifndef SUPERVISOR_PROCESS_DESCRIPTORS_H
#define SUPERVISOR_PROCESS_DESCRIPTORS_H

#include <stddef.h>
#include <sys/resource.h>

/*
 * The descriptors we were started with.
 *
 * From 3 on they are meant for the service (socket activation, a shell's
 * redirections), so a child inherits them; but as long as we kept them open too, no
 * reader of such a pipe would ever see its end.  So they are noted before
 * anything is opened, and closed once the service has them.  Several services have no use for what
 * a shell or another supervisor left open: run mode closes them at once.
 *
 * How many we may have is a limit that services inherit, and programs that
 * use select() or close all descriptors one by one count on a low one.  So ours is raised to
 * what is allowed, and a child gets back what it was.
 */
#define DESCRIPTORS_SPARE 4 /* what a start takes at a time */

struct descriptors {
	int *inherited; /* owned */
	size_t count;
	int spare[DESCRIPTORS_SPARE];
	size_t spare_count;
	struct rlimit limit; /* as it was; rlim_max 0 = not raised */
};

/*
 * Fills 0, 1 and 2 with /dev/null where they are closed, or the first things
 * we open would land there; children find them closed, as they would without us.
 * 0 or -errno.
 */
int descriptors_note(struct descriptors *descriptors);

/* Raises the soft limit to the hard one, but not beyond DESCRIPTORS_MOST. */
#define DESCRIPTORS_MOST 65536
void descriptors_raise(struct descriptors *descriptors);

/* In the child.  Async-signal-safe. */
void descriptors_restore(const struct descriptors *descriptors);

/*
 * Some are set aside before anything is opened that we can do without, and given up for the moment
 * of a start, and for the end, which needs them to read /proc.  As many as there are; both may be
 * repeated.
 */
void descriptors_set_aside(struct descriptors *descriptors);
void descriptors_give_up(struct descriptors *descriptors);

/* So many at most for so many services, by what each is known to open. */
size_t descriptors_needed(size_t services);

/* Closes them and forgets. */
void descriptors_close(struct descriptors *descriptors);

/* The same but for the sockets that systemd's protocol hands over to us: LISTEN_FDS of them from 3
 * on, if LISTEN_PID is our pid. */
void descriptors_close_unasked(struct descriptors *descriptors);

/* Forgets them, the limit included, and leaves them open. */
void descriptors_free(struct descriptors *descriptors);

#endif
