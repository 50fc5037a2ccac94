#ifndef TESTS_BENCH_DEMO_CLIENT_H
#define TESTS_BENCH_DEMO_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/demo/histogram.h"
#include "tests/bench/demo/schedule.h"

/*
 * The load of one worker: several connections, a thread each, that PUT and DELETE
 * objects until the worker holds what the schedule says for the moment, with a
 * steady traffic of GET, PUT over an old object, and SCAN besides.  Every answer
 * is checked byte by byte.
 *
 * A connection that breaks loses its request in flight; the first to notice
 * that a worker died also writes off the objects it held.  Requests that
 * fall due while nobody listens are lost too.
 */

struct client_settings {
	struct schedule schedule;
	/* Where the schedule is; moved by the caller, read by all clients. */
	const _Atomic uint64_t *schedule_ms;
	unsigned connections;
	uint32_t rate_per_s;
	/* One object in so many has 64 to 512 KiB, the others 16 bytes to 64 KiB;
	 * within each range every doubling is as likely as any other. */
	uint32_t large_one_in;
	uint32_t timeout_ms; /* an answer later than that is lost */
};

struct client_totals {
	_Atomic uint64_t served;
	_Atomic uint64_t lost;
	_Atomic uint64_t wrong; /* of these, answered but not with what was stored */
	_Atomic uint64_t objects_lost;
	_Atomic uint64_t deaths; /* of the worker, as noticed by a broken connection */
};

struct client;

/* NULL where memory or threads are out.  Settings and path must outlive the client. */
struct client *client_start(
	const struct client_settings *settings, unsigned worker, const char *socket_path);

/* Ends the threads after their request in flight, and adds what they measured.
 * The totals stay readable until client_free. */
void client_stop(struct client *client, struct histogram *latency);
void client_free(struct client *client);

const struct client_totals *client_totals(const struct client *client);

/* Every connection has reached the worker at least once. */
bool client_began(const struct client *client);

/* As the worker last reported it; 0 while the worker is down. */
uint64_t client_live_bytes(const struct client *client);

/* How far what the client has stored is from what the schedule wants now; 0
 * while the worker is down. */
uint64_t client_lag_bytes(const struct client *client);

#endif
