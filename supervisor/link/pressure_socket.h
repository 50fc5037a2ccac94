#ifndef SUPERVISOR_LINK_PRESSURE_SOCKET_H
#define SUPERVISOR_LINK_PRESSURE_SOCKET_H

#include <stdint.h>

#include "config/config.h"

/*
 * The provider's side of systemd's memory pressure protocol (MEMORY_PRESSURE_WATCH), where a
 * service can have no trigger on a memory.pressure file of its own: one AF_UNIX stream socket per
 * service, in a directory of ours.  A process that watches connects, and finds its end readable
 * when it should give memory back: one byte when the level rises to lazy or more, and another every
 * PRESSURE_AGAIN_MS while it stays there, as a trigger of the kernel does.  A process that connects
 * meanwhile is told at once.  What it sends is not read.
 *
 * A FIFO would be simpler, but of several processes that watch one only one gets the byte.
 *
 * Nobody waits for the socket: connecting succeeds without us, and who waits in the backlog is
 * accepted when the service's level is published, every PRESSURE_AGAIN_MS at calm.  So a process
 * that connects without end wakes nobody.  A service may have PRESSURE_CLIENTS connections; who has
 * hung up makes room.
 *
 * The directory is in the first of /run, XDG_RUNTIME_DIR, /dev/shm and /tmp that can be written and
 * is a tmpfs; where none is, in the first that can be written.  It cannot be listed by others, and
 * is locked while its supervisor lives: one that was killed leaves it, and the next one removes it
 * that is there for a while.
 */

#define PRESSURE_CLIENTS 64U
#define PRESSURE_AGAIN_MS UINT64_C(2000)

struct pressure_directory;
struct pressure_socket;

/* Once: removes what supervisors have left beside it that were killed.  A start need not wait for
 * that.  NULL: there is nothing to do. */
void pressure_directory_sweep(struct pressure_directory *directory);

/* After the sockets in it; may be NULL. */
void pressure_directory_close(struct pressure_directory *directory);

/* Makes *directory with its first socket.  0 or -errno. */
int pressure_socket_open(struct pressure_directory **directory, struct pressure_socket **socket);
void pressure_socket_close(struct pressure_socket *socket);

/* Absolute; valid until the socket is closed. */
const char *pressure_socket_path(const struct pressure_socket *socket);

/* The level in force, in every turn. */
void pressure_socket_tell(struct pressure_socket *socket, enum level level, uint64_t now_ms);

#endif
