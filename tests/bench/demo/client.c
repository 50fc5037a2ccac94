#include "tests/bench/demo/client.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "tests/bench/demo/wire.h"

#define POOL_BYTES (2U << 20)
#define OBJECT_BYTES_MAX (512U << 10)
#define ANSWER_BYTES_MAX (1U << 20)
#define SCAN_COUNT 24U
#define DEADBAND_BYTES (1U << 20)
#define IDLE_NS_MIN 5000000
#define IDLE_NS_MAX 20000000
#define RECONNECT_NS 20000000

struct item {
	uint64_t key;
	uint32_t size;
};

struct connection {
	struct client *client;
	pthread_t thread;
	int fd;
	bool began;
	uint64_t generation; /* the client's when this connection was made */
	uint64_t random;
	uint64_t due_ns;
	unsigned char *answer;
	struct histogram latency;
};

/*
 * items are the objects known to be in the worker and in nobody's request:
 * whoever works on one takes it out first, so that no two requests for one
 * key are under way at once and every answer can be foretold.
 *
 * generation counts the worker's lives as far as noticed.  What a request of an older
 * generation brings back is dropped.
 */
struct client {
	const struct client_settings *settings;
	unsigned worker;
	const char *path;
	_Atomic bool stop;
	_Atomic uint64_t live_bytes;
	_Atomic uint64_t stored_bytes;
	_Atomic bool up;
	_Atomic unsigned began;
	struct client_totals totals;
	pthread_mutex_t lock;
	uint64_t generation;
	uint64_t next_key;
	struct item *items;
	size_t item_count;
	size_t item_capacity;
	unsigned connection_count;
	struct connection connections[];
};

/* size_before: what of it was stored before; size_after: what will be. */
struct job {
	enum wire_operation operation;
	uint64_t key;
	uint32_t size_before;
	uint32_t size_after;
	uint64_t generation;
};

static unsigned char pool[POOL_BYTES];
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void pool_fill(void)
{
	uint64_t word;

	for (size_t i = 0; i < POOL_BYTES; i += sizeof(word)) {
		word = wire_mix(i + 1);
		memcpy(pool + i, &word, sizeof(word));
	}
}

/* The bytes an object of that key and size has. */
static const unsigned char *pool_bytes(uint64_t key, uint32_t size)
{
	return pool + wire_mix(key ^ ((uint64_t)size << 32)) % (POOL_BYTES - OBJECT_BYTES_MAX);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec pause = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

	nanosleep(&pause, NULL);
}

static uint64_t connection_draw(struct connection *connection, uint64_t below)
{
	connection->random += 0x9e3779b97f4a7c15U;
	return wire_mix(connection->random) % below;
}

static uint32_t connection_draw_size(struct connection *connection)
{
	double part = (double)connection_draw(connection, 1 << 20) / (1 << 20);

	if (connection_draw(connection, connection->client->settings->large_one_in) == 0)
		return (uint32_t)(65536 * exp2(3 * part));
	return (uint32_t)(16 * exp2(12 * part));
}

static void client_keep(struct client *client, struct item item)
{
	if (client->item_count == client->item_capacity) {
		size_t capacity = client->item_capacity ? 2 * client->item_capacity : 4096;
		struct item *items = realloc(client->items, capacity * sizeof(*items));

		if (!items)
			abort();
		client->items = items;
		client->item_capacity = capacity;
	}
	client->items[client->item_count++] = item;
}

static struct item client_take(struct client *client, uint64_t index)
{
	struct item item = client->items[index];

	client->items[index] = client->items[--client->item_count];
	return item;
}

static void client_take_into(struct connection *connection, struct job *job)
{
	struct client *client = connection->client;
	struct item item = client_take(client, connection_draw(connection, client->item_count));

	job->key = item.key;
	job->size_before = item.size;
	job->size_after = item.size;
}

static void choose_traffic(struct connection *connection, struct job *job)
{
	uint64_t draw = connection_draw(connection, 100);

	client_take_into(connection, job);
	if (draw < 60) {
		job->operation = WIRE_GET;
	} else if (draw < 90) {
		job->operation = WIRE_PUT;
		job->size_after = connection_draw_size(connection);
	} else {
		job->operation = WIRE_SCAN;
	}
}

/* What this connection should do now; false: nothing. */
static bool choose(struct connection *connection, struct job *job)
{
	struct client *client = connection->client;
	const struct client_settings *settings = client->settings;
	uint64_t target = schedule_target_bytes(
		&settings->schedule, client->worker, atomic_load(settings->schedule_ms));
	uint64_t now = now_ns();
	uint64_t stored;
	bool some = true;

	pthread_mutex_lock(&client->lock);
	stored = atomic_load(&client->stored_bytes);
	*job = (struct job){.generation = connection->generation};
	if (now >= connection->due_ns && client->item_count > 0) {
		connection->due_ns =
			now + 1000000000ULL * client->connection_count / settings->rate_per_s;
		choose_traffic(connection, job);
	} else if (stored + DEADBAND_BYTES < target) {
		job->operation = WIRE_PUT;
		job->key = (uint64_t)client->worker << 48 | ++client->next_key;
		job->size_after = connection_draw_size(connection);
	} else if (stored > target + DEADBAND_BYTES && client->item_count > 0) {
		client_take_into(connection, job);
		job->operation = WIRE_DELETE;
		job->size_after = 0;
	} else {
		some = false;
	}
	if (some)
		atomic_store(&client->stored_bytes, stored + job->size_after - job->size_before);
	pthread_mutex_unlock(&client->lock);
	return some;
}

static bool scan_is_right(const unsigned char *at, uint32_t size, uint32_t count)
{
	struct wire_entry entry;

	for (; count > 0; count--) {
		if (size < sizeof(entry))
			return false;
		memcpy(&entry, at, sizeof(entry));
		at += sizeof(entry);
		size -= (uint32_t)sizeof(entry);
		if (entry.shown > size || entry.size > OBJECT_BYTES_MAX ||
			entry.shown > entry.size ||
			memcmp(at, pool_bytes(entry.key, entry.size), entry.shown) != 0)
			return false;
		at += entry.shown;
		size -= entry.shown;
	}
	return size == 0;
}

static bool answer_is_right(
	const struct job *job, const struct wire_response *response, const unsigned char *answer)
{
	if (response->status != WIRE_FOUND ||
		response->checksum != wire_checksum(answer, response->size))
		return false;
	switch (job->operation) {
	case WIRE_GET:
		return response->size == job->size_before &&
		       memcmp(answer, pool_bytes(job->key, job->size_before), response->size) == 0;
	case WIRE_SCAN:
		return scan_is_right(answer, response->size, response->count);
	case WIRE_PUT:
	case WIRE_DELETE:
		return response->size == 0;
	}
	return false;
}

/* 0: answered rightly.  -EBADMSG: answered wrongly.  Another -errno: not answered. */
static int perform(struct connection *connection, const struct job *job)
{
	struct wire_request request = {
		.magic = WIRE_MAGIC,
		.operation = job->operation,
		.key = job->key,
		.size = job->operation == WIRE_PUT ? job->size_after : 0,
		.count = SCAN_COUNT,
	};
	struct wire_response response = {0};
	int rc = wire_write(connection->fd, &request, sizeof(request),
		pool_bytes(job->key, request.size), request.size);

	if (rc == 0)
		rc = wire_read(connection->fd, &response, sizeof(response));
	if (rc == 0 && (response.magic != WIRE_MAGIC || response.size > ANSWER_BYTES_MAX))
		return -EPROTO;
	if (rc == 0)
		rc = wire_read(connection->fd, connection->answer, response.size);
	if (rc < 0)
		return rc;
	atomic_store(&connection->client->live_bytes, response.live_bytes);
	return answer_is_right(job, &response, connection->answer) ? 0 : -EBADMSG;
}

/* Books what became of the job.  Only an answered one leaves its object in the worker. */
static void settle(struct connection *connection, const struct job *job, int rc)
{
	struct client *client = connection->client;
	bool answered = rc == 0 || rc == -EBADMSG;

	atomic_fetch_add(rc == 0 ? &client->totals.served : &client->totals.lost, 1);
	if (rc == -EBADMSG)
		atomic_fetch_add(&client->totals.wrong, 1);
	pthread_mutex_lock(&client->lock);
	if (job->generation == client->generation) {
		struct item item = {.key = job->key, .size = job->size_after};

		if (answered && job->operation != WIRE_DELETE)
			client_keep(client, item);
		if (!answered)
			atomic_fetch_sub(&client->stored_bytes, job->size_after);
	}
	if (!answered && rc != -EAGAIN && job->generation == client->generation) {
		client->generation++;
		atomic_fetch_add(&client->totals.deaths, 1);
		atomic_fetch_add(&client->totals.objects_lost, client->item_count);
		client->item_count = 0;
		atomic_store(&client->stored_bytes, 0);
		atomic_store(&client->live_bytes, 0);
		atomic_store(&client->up, false);
	}
	pthread_mutex_unlock(&client->lock);
	if (!answered) {
		close(connection->fd);
		connection->fd = -1;
	}
}

static int connection_open(struct connection *connection)
{
	struct client *client = connection->client;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {
		.tv_sec = client->settings->timeout_ms / 1000,
		.tv_usec = client->settings->timeout_ms % 1000 * 1000L,
	};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, client->path, strlen(client->path));
	pthread_mutex_lock(&client->lock);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		rc = -errno;
	if (rc == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		connection->fd = fd;
		connection->generation = client->generation;
		atomic_store(&client->up, true);
		if (!connection->began)
			atomic_fetch_add(&client->began, 1);
		connection->began = true;
	}
	pthread_mutex_unlock(&client->lock);
	if (rc < 0)
		close(fd);
	return rc;
}

/* Nobody listens: what falls due meanwhile is lost. */
static void connection_wait(struct connection *connection)
{
	struct client *client = connection->client;

	if (connection->began && now_ns() >= connection->due_ns) {
		connection->due_ns +=
			1000000000ULL * client->connection_count / client->settings->rate_per_s;
		atomic_fetch_add(&client->totals.lost, 1);
		return;
	}
	sleep_ns(RECONNECT_NS);
	if (!connection->began)
		connection->due_ns = now_ns();
}

static void *connection_run(void *argument)
{
	struct connection *connection = argument;
	struct client *client = connection->client;
	uint64_t idle_ns = 2000000000ULL / client->settings->rate_per_s;
	struct job job;

	if (idle_ns < IDLE_NS_MIN)
		idle_ns = IDLE_NS_MIN;
	if (idle_ns > IDLE_NS_MAX)
		idle_ns = IDLE_NS_MAX;
	while (!atomic_load(&client->stop)) {
		uint64_t start_ns;
		int rc;

		if (connection->fd < 0 && connection_open(connection) < 0) {
			connection_wait(connection);
			continue;
		}
		if (!choose(connection, &job)) {
			sleep_ns(idle_ns);
			continue;
		}
		start_ns = now_ns();
		rc = perform(connection, &job);
		if (rc == 0)
			histogram_add(&connection->latency, (now_ns() - start_ns) / 1000);
		settle(connection, &job, rc);
	}
	if (connection->fd >= 0)
		close(connection->fd);
	return NULL;
}

struct client *client_start(
	const struct client_settings *settings, unsigned worker, const char *socket_path)
{
	struct client *client;

	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return NULL;
	client =
		calloc(1, sizeof(*client) + settings->connections * sizeof(client->connections[0]));
	if (!client)
		return NULL;
	pthread_once(&pool_once, pool_fill);
	client->settings = settings;
	client->worker = worker;
	client->path = socket_path;
	pthread_mutex_init(&client->lock, NULL);
	client->connection_count = settings->connections;
	for (unsigned i = 0; i < settings->connections; i++) {
		struct connection *connection = &client->connections[i];

		connection->client = client;
		connection->fd = -1;
		connection->random = wire_mix(settings->schedule.seed * 4099 + worker * 64ULL + i);
		connection->due_ns = now_ns();
		connection->answer = malloc(ANSWER_BYTES_MAX);
		if (!connection->answer ||
			pthread_create(&connection->thread, NULL, connection_run, connection) != 0)
			abort();
	}
	return client;
}

void client_stop(struct client *client, struct histogram *latency)
{
	atomic_store(&client->stop, true);
	for (unsigned i = 0; i < client->connection_count; i++) {
		pthread_join(client->connections[i].thread, NULL);
		histogram_merge(latency, &client->connections[i].latency);
	}
}

void client_free(struct client *client)
{
	for (unsigned i = 0; i < client->connection_count; i++)
		free(client->connections[i].answer);
	pthread_mutex_destroy(&client->lock);
	free(client->items);
	free(client);
}

const struct client_totals *client_totals(const struct client *client)
{
	return &client->totals;
}

bool client_began(const struct client *client)
{
	return atomic_load(&client->began) == client->connection_count;
}

uint64_t client_live_bytes(const struct client *client)
{
	return atomic_load(&client->live_bytes);
}

uint64_t client_lag_bytes(const struct client *client)
{
	uint64_t stored = atomic_load(&client->stored_bytes);
	uint64_t target;

	if (!atomic_load(&client->up))
		return 0;
	target = schedule_target_bytes(&client->settings->schedule, client->worker,
		atomic_load(client->settings->schedule_ms));
	return stored > target ? stored - target : target - stored;
}
