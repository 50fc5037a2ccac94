#ifndef SUPERVISOR_CLIENT_TOP_H
#define SUPERVISOR_CLIENT_TOP_H

/*
 * `spillctl top`: a live view of one supervisor's services, in a terminal of any size.
 *
 * Nothing waits for the supervisor: one that is stopped, or gone, is said, and asked again.
 * ncurses is seen by top.c and top_draw.c and nobody else.
 */

/* Until q.  0, or -errno with why: -ENOTTY where there is no terminal, -EINVAL where TERM names
 * none. */
int top_run(const char *path, const char **why);

#endif
