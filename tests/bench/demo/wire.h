#ifndef TESTS_BENCH_DEMO_WIRE_H
#define TESTS_BENCH_DEMO_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * What the demo's client and its workers say to each other over a unix stream
 * socket: fixed headers in the machine's byte order, each followed by
 * size bytes.  One request is answered before the next is read.
 *
 *   GET     -> the object's bytes
 *   PUT     size bytes follow; replaces an object of that key
 *   DELETE  -> nothing
 *   SCAN    -> up to count objects stored near the key: wire_entry, its bytes,
 *              and again
 */

#define WIRE_MAGIC 0x44454d4fU
#define WIRE_BODY_BYTES_MAX (4U << 20)
#define WIRE_SHOWN_BYTES_MAX 1024U

enum wire_operation { WIRE_GET, WIRE_PUT, WIRE_DELETE, WIRE_SCAN };

enum wire_status { WIRE_FOUND, WIRE_ABSENT };

struct wire_request {
	uint32_t magic;
	uint32_t operation;
	uint64_t key;
	uint32_t size;
	uint32_t count;
};

/* live_bytes: what the worker's own accounting says it has allocated and not freed. */
struct wire_response {
	uint32_t magic;
	uint32_t status;
	uint32_t size;
	uint32_t count;
	uint64_t checksum;
	uint64_t live_bytes;
};

/* size is the object's, shown is how many of its bytes follow. */
struct wire_entry {
	uint64_t key;
	uint32_t size;
	uint32_t shown;
};

static inline uint64_t wire_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static inline uint64_t wire_checksum(const void *data, size_t size_bytes)
{
	const unsigned char *at = data;
	uint64_t sum = size_bytes;
	uint64_t word;

	for (; size_bytes >= sizeof(word); at += sizeof(word), size_bytes -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15U;
		sum ^= sum >> 29;
	}
	word = 0;
	if (size_bytes > 0)
		memcpy(&word, at, size_bytes);
	return wire_mix(sum ^ word);
}

/* 0, or -errno; -EPIPE where the other side is gone. */
static inline int wire_read(int fd, void *data, size_t size_bytes)
{
	unsigned char *at = data;

	while (size_bytes > 0) {
		ssize_t got = recv(fd, at, size_bytes, 0);

		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			at += got;
			size_bytes -= (size_t)got;
		}
	}
	return 0;
}

/* Sends the header and the bytes that follow it, in as few calls as the socket takes. */
static inline int wire_write(
	int fd, const void *header, size_t header_bytes, const void *body, size_t body_bytes)
{
	struct iovec part[2] = {
		{.iov_base = (void *)header, .iov_len = header_bytes},
		{.iov_base = (void *)body, .iov_len = body_bytes},
	};

	while (part[0].iov_len + part[1].iov_len > 0) {
		struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
		ssize_t put = sendmsg(fd, &message, MSG_NOSIGNAL);

		if (put < 0 && errno != EINTR)
			return -errno;
		for (size_t i = 0; i < 2 && put > 0; i++) {
			size_t taken =
				(size_t)put < part[i].iov_len ? (size_t)put : part[i].iov_len;

			part[i].iov_base = (unsigned char *)part[i].iov_base + taken;
			part[i].iov_len -= taken;
			put -= (ssize_t)taken;
		}
	}
	return 0;
}

#endif
