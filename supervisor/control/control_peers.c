/* The connections of a listener, and which one goes when there are too many. */
#include "supervisor/control/control_peers.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define IPV6_NETWORK_BYTES 8U

/* 0 where there is none. */
static uint64_t inode_of(int fd)
{
	struct stat status;
	return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* Zeros where it cannot be known: those are one peer together. */
static void address_of(int fd, uint8_t address[CONTROL_PEER_BYTES])
{
	struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof from;
	struct ucred user;
	socklen_t user_size = sizeof user;
	memset(address, 0, CONTROL_PEER_BYTES);
	if (getpeername(fd, (struct sockaddr *)&from, &size) != 0)
		return;
	if (from.ss_family == AF_INET)
		memcpy(address, &((struct sockaddr_in *)&from)->sin_addr, sizeof(struct in_addr));
	else if (from.ss_family == AF_INET6 &&
		 IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&from)->sin6_addr))
		memcpy(address, &((struct sockaddr_in6 *)&from)->sin6_addr, CONTROL_PEER_BYTES);
	else if (from.ss_family == AF_INET6)
		memcpy(address, &((struct sockaddr_in6 *)&from)->sin6_addr, IPV6_NETWORK_BYTES);
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &user_size) == 0)
		memcpy(address, &user.uid, sizeof user.uid);
}

static void forget(struct control_peers *peers, size_t at)
{
	peers->peer[at] = peers->peer[--peers->count];
}

static void forget_closed(struct control_peers *peers)
{
	for (size_t i = peers->count; i > 0; i--)
		if (inode_of(peers->peer[i - 1].fd) != peers->peer[i - 1].inode)
			forget(peers, i - 1);
}

static bool is_of(const struct control_peer *peer, const uint8_t *address)
{
	return address == NULL || memcmp(peer->address, address, CONTROL_PEER_BYTES) == 0;
}

static size_t count_of(const struct control_peers *peers, const uint8_t *address)
{
	size_t count = 0;
	for (size_t i = 0; i < peers->count; i++)
		count += is_of(&peers->peer[i], address);
	return count;
}

/* The index of the one that has asked nothing for longest, peers->count where all are busy.
 * address NULL: of any peer. */
static size_t oldest_of(const struct control_peers *peers, const uint8_t *address)
{
	size_t oldest = peers->count;
	for (size_t i = 0; i < peers->count; i++) {
		const struct control_peer *peer = &peers->peer[i];
		if (!peer->is_busy && is_of(peer, address) &&
			(oldest == peers->count || peer->asked < peers->peer[oldest].asked))
			oldest = i;
	}
	return oldest;
}

int control_peers_admit(struct control_peers *peers, int fd)
{
	struct control_peer made = {.fd = fd, .inode = inode_of(fd), .asked = ++peers->asked};
	int goes = -1;
	address_of(fd, made.address);
	forget_closed(peers);
	bool is_many = count_of(peers, made.address) >= peers->most_of_peer;
	if (is_many || peers->count >= peers->most) {
		size_t oldest = oldest_of(peers, is_many ? made.address : NULL);
		if (oldest == peers->count)
			return fd;
		goes = peers->peer[oldest].fd;
		forget(peers, oldest);
	}
	peers->peer[peers->count++] = made;
	return goes;
}

static struct control_peer *find(struct control_peers *peers, int fd)
{
	for (size_t i = 0; i < peers->count; i++)
		if (peers->peer[i].fd == fd)
			return &peers->peer[i];
	return NULL;
}

void control_peers_asks(struct control_peers *peers, int fd)
{
	struct control_peer *peer = find(peers, fd);
	if (peer == NULL)
		return;
	peer->asked = ++peers->asked;
	peer->is_busy = true;
}

void control_peers_answered(struct control_peers *peers, int fd)
{
	struct control_peer *peer = find(peers, fd);
	if (peer != NULL)
		peer->is_busy = false;
}
