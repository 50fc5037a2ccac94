#ifndef SUPERVISOR_LINK_LINK_LISTENER_H
#define SUPERVISOR_LINK_LINK_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/protocol.h"

/*
 * The listener: one abstract SOCK_SEQPACKET socket per supervisor, to which a process that has lost
 * the inherited descriptors sends its token, and from which it gets the link's files again.
 *
 * Every process in the network namespace can connect.  So no call blocks, a connection that has
 * sent nothing is closed after LINK_LISTENER_TIMEOUT_MS, there are LINK_LISTENER_CONNECTIONS at a
 * time, the oldest makes room for a new one, and one call serves a bounded number.
 *
 * When there is no descriptor for a connection, one that is kept in reserve accepts it and it is
 * closed at once: what waits at a level-triggered listener would wake the loop again immediately.
 * When that fails too, accepting pauses until the next link_listener_resume().  It also pauses
 * after LINK_LISTENER_ACCEPTS in one second, which bounds the cost of a process that connects in a
 * loop.
 *
 * A token is 128 random bits and is compared in constant time.
 */

#define LINK_LISTENER_CONNECTIONS 16
#define LINK_LISTENER_TIMEOUT_MS 2000
#define LINK_LISTENER_ACCEPTS 256U
#define LINK_LISTENER_PERIOD_MS UINT64_C(1000)

struct link_listener;

/* At that name, which must be free; NULL = at a new one. */
int link_listener_open(const char *name, struct link_listener **listener);
void link_listener_close(struct link_listener *listener);

/* Without its leading NUL. */
const char *link_listener_name(const struct link_listener *listener);

/* For the loop: readable when a process connects or has sent something. */
int link_listener_fd(const struct link_listener *listener);
void link_listener_serve(struct link_listener *listener, uint64_t now_ms);

/* To be called now and then: accepting that was paused is tried again, after too many connections
 * when their second is over. */
void link_listener_resume(struct link_listener *listener, uint64_t now_ms);

/* Accepting is paused, until that is called. */
bool link_listener_is_paused(const struct link_listener *listener);

/* A process that knows the token gets duplicates of fd, which stay the caller's.  0 or -ENOMEM. */
int link_listener_add(struct link_listener *listener, const char *token, const int fd[LINK_FILES]);
void link_listener_remove(struct link_listener *listener, const char *token);

#endif
