#ifndef CONFIG_ORDER_H
#define CONFIG_ORDER_H

#include "config/loader.h"

/*
 * The order in which services start, and what each of them needs.
 *
 * after and requires name services, or a [program:x] of supervisord's, which stands for all of its
 * processes.  A service has the priority (that of its group, then its own) of what it needs where
 * that is higher, so that priorities never contradict needs.  Services are ordered by
 *   - that priority, the lowest first;
 *   - how long the longest chain of needs below them is;
 *   - the order of the file.
 * What is needed therefore always has the lower index.
 *
 * Turns count how they stop: services of our own sections with the same priority have one turn
 * together; a [program:x] has one alone, because supervisord stops one group after another.
 *
 * What a service with autostart requires is started by itself, too.
 *
 * Errors: a name that there is not, a service that needs itself, and a cycle.
 */

/* When all services are known: orders them, and fills in need and turn, unless there are errors. */
void order_services(struct loader *loader);

#endif
