#ifndef SUPERVISOR_FLEET_NOTIFY_SOCKET_H
#define SUPERVISOR_FLEET_NOTIFY_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * systemd's notification protocol (sd_notify(3)), the receiving side: a datagram socket of one
 * service, in the abstract namespace under a name that nobody can guess, so that no directory is
 * needed.  Datagrams are untrusted: the kernel says who sent each, and the caller decides whether
 * that is one of the service's.
 *
 * Understood are READY=1, RELOADING=1, STOPPING=1, STATUS=, MAINPID=, WATCHDOG=1, WATCHDOG=trigger
 * and EXTEND_TIMEOUT_USEC=.  Everything else is passed over.  Descriptors that are sent along are
 * closed by the kernel at once, which is what BARRIER=1 waits for.
 */

#define NOTIFY_STATUS_BYTES 128
#define NOTIFY_NAME_BYTES 64

struct notify_message {
	pid_t sender;
	uid_t user;
	bool is_ready;
	bool is_reloading;
	bool is_stopping;
	bool is_alive;   /* WATCHDOG=1 */
	bool is_trouble; /* WATCHDOG=trigger */
	bool has_status;
	char status[NOTIFY_STATUS_BYTES]; /* of printable characters; a long one is cut */
	pid_t main_pid;                   /* 0 = not said */
	uint64_t extend_ms;               /* 0 = not said */
};

/* name is for NOTIFY_SOCKET.  The descriptor is the caller's.  0 or -errno. */
int notify_socket_open(int *fd, char name[static NOTIFY_NAME_BYTES]);

/* The next datagram.  1, 0: there is none, or -errno. */
int notify_socket_read(int fd, struct notify_message *message);

/* What a datagram says; sender and user are left alone. */
void notify_message_parse(const char *text, size_t length, struct notify_message *message);

#endif
