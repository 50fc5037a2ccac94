#ifndef SUPERVISOR_CONTROL_CONTROL_LISTEN_H
#define SUPERVISOR_CONTROL_CONTROL_LISTEN_H

#include <sys/socket.h>

/* A Unix socket of mode 0600 that listens at path, in a directory that is made if its parent is
 * there; one that nobody listens at any more is replaced.  The descriptor, -EADDRINUSE where
 * somebody does, or another -errno. */
int control_listen_unix(const char *path);

/* A TCP socket.  The descriptor or -errno. */
int control_listen_tcp(const struct sockaddr *address, socklen_t length);

#endif
