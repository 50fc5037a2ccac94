#ifndef SUPERVISOR_CONTROL_CONTROL_PEERS_H
#define SUPERVISOR_CONTROL_CONTROL_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How many connections a listener has, and which one goes when there are too many.
 *
 * There are `most` of them, and `most_of_peer` of one peer: of a user at a Unix socket, of an IPv4
 * address, of the first 64 bits of an IPv6 address.  A newcomer beyond that takes the place of the
 * connection that has asked nothing for the longest time, of the same peer where that one has too
 * many.  So who holds connections open, or sends a request byte by byte, shuts out nobody: he loses
 * his own.  One whose request is being answered, or that follows a stream, is busy and stays;
 * where all are, the newcomer goes.
 *
 * Connections end without a word to us.  Whether one is still there is asked of the kernel when
 * another comes: its descriptor is the same socket, by the inode.
 */

#define CONTROL_PEERS_MOST 64U
#define CONTROL_PEER_BYTES 16U

struct control_peer {
	int fd;
	uint64_t inode;
	uint8_t address[CONTROL_PEER_BYTES];
	uint64_t asked; /* the order of the last request, or of its coming */
	bool is_busy;
};

struct control_peers {
	size_t most; /* up to CONTROL_PEERS_MOST */
	size_t most_of_peer;
	size_t count;
	uint64_t asked;
	struct control_peer peer[CONTROL_PEERS_MOST];
};

/* A connection has come.  The one that has to go for it, which is not known any more: the caller
 * shuts it down; fd itself where none can; -1: none has to. */
int control_peers_admit(struct control_peers *peers, int fd);

/* A connection has asked something; it was answered. */
void control_peers_asks(struct control_peers *peers, int fd);
void control_peers_answered(struct control_peers *peers, int fd);

#endif
