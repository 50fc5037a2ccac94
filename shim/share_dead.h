#ifndef SHIM_SHARE_DEAD_H
#define SHIM_SHARE_DEAD_H

#include <stdint.h>

/* Removes the pages of dead processes of that pid namespace from a directory, but for the
 * SHARE_DEAD_KEPT youngest (share_page.h).  Looks at some thousand names at most.  What belongs to
 * others stays, because the directory is sticky. */
void share_dead_remove(const char *directory, uint64_t pid_namespace);

#endif
