#ifndef SHIM_LINK_SOCKET_H
#define SHIM_LINK_SOCKET_H

#include "shim/protocol.h"

/*
 * Asks the supervisor for the link's descriptors, for a process whose parent
 * closed the inherited ones.  name: abstract, without its leading NUL; token:
 * LINK_TOKEN_CHARS digits.  Takes at most 100 ms.  0, with the descriptors (close on
 * exec) in fd and the user who listens there in *listener, or -errno (-EAGAIN: it has too much to
 * do just now); raises no signal and keeps errno.
 */
int link_socket_fetch(const char *name, const char *token, int fd[LINK_FILES], uint32_t *listener);

#endif
