#ifndef SHIM_LINK_SOCKET_H
#define SHIM_LINK_SOCKET_H

/*
 * Asks the supervisor for the link's descriptor, for a process whose parent
 * closed the inherited one.  name: abstract, without its leading NUL; token:
 * LINK_TOKEN_CHARS digits.  Takes at most 100 ms.  A descriptor (close on
 * exec) or -errno; raises no signal and keeps errno.
 */
int link_socket_fetch(const char *name, const char *token);

#endif
