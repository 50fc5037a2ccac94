/*
 * The demo's service: an object store behind a unix socket, as ordinary as a
 * cache or session server is.  A few threads each serve a connection; objects
 * are allocated by the thread that received them and freed by whichever thread
 * drops the last reference, with plain malloc, realloc and free.
 *
 * usage: worker SOCKET [THREADS]
 */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "tests/bench/demo/wire.h"

#define SHARDS 64U
#define BUCKETS 512U
#define THREADS_MAX 64
#define SCAN_STEP_BYTES 4096U

/* references: one held by the store, one by each reply being built from it. */
struct object {
	struct object *next;
	_Atomic uint32_t references;
	uint32_t size;
	uint64_t key;
	unsigned char *data;
};

struct shard {
	pthread_mutex_t lock;
	struct object *bucket[BUCKETS];
};

struct reply {
	unsigned char *data;
	uint32_t size;
	uint32_t capacity;
	uint32_t count;
	enum wire_status status;
};

static struct shard shards[SHARDS];
static _Atomic uint64_t live_bytes;

static void *bytes_take(size_t size)
{
	void *data = malloc(size);

	if (!data) {
		(void)fprintf(stderr, "worker: out of memory\n");
		abort();
	}
	atomic_fetch_add_explicit(&live_bytes, size, memory_order_relaxed);
	return data;
}

static void bytes_drop(void *data, size_t size)
{
	atomic_fetch_sub_explicit(&live_bytes, size, memory_order_relaxed);
	free(data);
}

static void reply_reserve(struct reply *reply, uint32_t more)
{
	uint32_t capacity = reply->capacity;
	void *data;

	while (capacity - reply->size < more)
		capacity += SCAN_STEP_BYTES;
	if (capacity == reply->capacity)
		return;
	data = realloc(reply->data, capacity);
	if (!data) {
		(void)fprintf(stderr, "worker: out of memory\n");
		abort();
	}
	atomic_fetch_add_explicit(&live_bytes, capacity - reply->capacity, memory_order_relaxed);
	reply->data = data;
	reply->capacity = capacity;
}

static void reply_append(struct reply *reply, const void *data, uint32_t size)
{
	if (size == 0)
		return;
	reply_reserve(reply, size);
	memcpy(reply->data + reply->size, data, size);
	reply->size += size;
}

static struct object *object_new(uint64_t key, uint32_t size)
{
	struct object *object = bytes_take(sizeof(*object));

	*object = (struct object){.key = key, .size = size, .references = 1};
	object->data = bytes_take(size);
	return object;
}

static void object_drop(struct object *object)
{
	if (atomic_fetch_sub(&object->references, 1) != 1)
		return;
	bytes_drop(object->data, object->size);
	bytes_drop(object, sizeof(*object));
}

static struct shard *store_shard(uint64_t key)
{
	return &shards[wire_mix(key) % SHARDS];
}

static struct object **store_find(struct shard *shard, uint64_t key)
{
	struct object **link = &shard->bucket[wire_mix(key) / SHARDS % BUCKETS];

	while (*link && (*link)->key != key)
		link = &(*link)->next;
	return link;
}

static struct object *store_get(uint64_t key)
{
	struct shard *shard = store_shard(key);
	struct object *object;

	pthread_mutex_lock(&shard->lock);
	object = *store_find(shard, key);
	if (object)
		atomic_fetch_add(&object->references, 1);
	pthread_mutex_unlock(&shard->lock);
	return object;
}

/* Puts object (NULL: nothing) in the place of what the key had, which is returned. */
static struct object *store_replace(uint64_t key, struct object *object)
{
	struct shard *shard = store_shard(key);
	struct object **link;
	struct object *old;

	pthread_mutex_lock(&shard->lock);
	link = store_find(shard, key);
	old = *link;
	if (object) {
		object->next = old ? old->next : NULL;
		*link = object;
	} else if (old) {
		*link = old->next;
	}
	pthread_mutex_unlock(&shard->lock);
	return old;
}

static void serve_get(const struct wire_request *request, struct reply *reply)
{
	struct object *object = store_get(request->key);

	if (!object) {
		reply->status = WIRE_ABSENT;
		return;
	}
	reply_append(reply, object->data, object->size);
	reply->count = 1;
	object_drop(object);
}

static int serve_put(int fd, const struct wire_request *request)
{
	struct object *object;
	struct object *old;
	int rc;

	if (request->size > WIRE_BODY_BYTES_MAX)
		return -EMSGSIZE;
	object = object_new(request->key, request->size);
	rc = wire_read(fd, object->data, object->size);
	if (rc < 0) {
		object_drop(object);
		return rc;
	}
	old = store_replace(request->key, object);
	if (old)
		object_drop(old);
	return 0;
}

static void serve_delete(const struct wire_request *request, struct reply *reply)
{
	struct object *old = store_replace(request->key, NULL);

	if (old)
		object_drop(old);
	else
		reply->status = WIRE_ABSENT;
}

static void serve_scan(const struct wire_request *request, struct reply *reply)
{
	struct shard *shard = store_shard(request->key);
	uint64_t first = wire_mix(request->key) / SHARDS;

	pthread_mutex_lock(&shard->lock);
	for (unsigned i = 0; i < BUCKETS && reply->count < request->count; i++) {
		const struct object *object = shard->bucket[(first + i) % BUCKETS];

		for (; object && reply->count < request->count; object = object->next) {
			struct wire_entry entry = {
				.key = object->key, .size = object->size, .shown = object->size};

			if (entry.shown > WIRE_SHOWN_BYTES_MAX)
				entry.shown = WIRE_SHOWN_BYTES_MAX;
			reply_append(reply, &entry, sizeof(entry));
			reply_append(reply, object->data, entry.shown);
			reply->count++;
		}
	}
	pthread_mutex_unlock(&shard->lock);
}

/* 0 when it was answered, else -errno: the connection is of no more use. */
static int serve_one(int fd)
{
	struct wire_request request;
	struct wire_response response = {.magic = WIRE_MAGIC};
	struct reply reply = {0};
	int rc = wire_read(fd, &request, sizeof(request));

	if (rc == 0 && request.magic != WIRE_MAGIC)
		rc = -EPROTO;
	if (rc < 0)
		return rc;
	switch (request.operation) {
	case WIRE_GET:
		serve_get(&request, &reply);
		break;
	case WIRE_PUT:
		rc = serve_put(fd, &request);
		break;
	case WIRE_DELETE:
		serve_delete(&request, &reply);
		break;
	case WIRE_SCAN:
		serve_scan(&request, &reply);
		break;
	default:
		rc = -EPROTO;
	}
	if (rc == 0) {
		response.status = reply.status;
		response.size = reply.size;
		response.count = reply.count;
		response.checksum = wire_checksum(reply.data, reply.size);
		response.live_bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed);
		rc = wire_write(fd, &response, sizeof(response), reply.data, reply.size);
	}
	bytes_drop(reply.data, reply.capacity);
	return rc;
}

static void *serve(void *argument)
{
	int listener = *(const int *)argument;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		while (serve_one(fd) == 0)
			;
		close(fd);
	}
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int main(int argc, char **argv)
{
	long threads = argc > 2 ? strtol(argv[2], NULL, 10) : 4;
	sigset_t wanted;
	int listener;
	int number;

	if (argc < 2 || threads < 1 || threads > THREADS_MAX) {
		(void)fprintf(stderr, "usage: worker SOCKET [THREADS]\n");
		return 2;
	}
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&shards[i].lock, NULL);
	listener = listen_at(argv[1]);
	if (listener < 0) {
		(void)fprintf(stderr, "worker: %s: %s\n", argv[1], strerror(-listener));
		return 1;
	}
	for (long i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, serve, &listener) != 0) {
			(void)fprintf(stderr, "worker: no thread\n");
			return 1;
		}
		pthread_detach(thread);
	}
	while (sigwait(&wanted, &number) != 0)
		;
	(void)unlink(argv[1]);
	return 0;
}
