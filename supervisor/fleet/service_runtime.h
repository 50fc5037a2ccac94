#ifndef SUPERVISOR_FLEET_SERVICE_RUNTIME_H
#define SUPERVISOR_FLEET_SERVICE_RUNTIME_H

#include "config/config.h"
#include "supervisor/process/environment.h"
#include "supervisor/process/jvm_worker.h"
#include "supervisor/process/runtime.h"
#include "supervisor/process/shim_check.h"

/*
 * The language runtime of a service: which one it is (the key runtime, else as its program shows),
 * and what its environment was given at the last start (supervisor/process/runtime.h).
 *
 * Where it is java its JVMs are asked, by a thread, to give memory back (supervisor/process/jvm.h):
 *
 *   eager   System.trim_native_heap, where glibc's malloc serves it: the library does that itself
 *   full    the same, and GC.run up to SERVICE_RUNTIME_COLLECTIONS times, after which a heap that
 *           is shrunk in steps is as small as its settings let it be (jvm_worker.h)
 *
 * at once when the level is reached, and again after SERVICE_RUNTIME_REST_MS, or so much later that
 * this takes a twentieth of the time at most.  A JVM that does not answer is not asked again.
 *
 * When the limit by which it was given one at the start moves, SoftMaxHeapSize follows, which
 * is SERVICE_RUNTIME_HEAP_PERMILLE of it and not above the heap's limit.  Collectors that do not
 * know it (serial, parallel, older G1) take no notice.
 */

#define SERVICE_RUNTIME_HEAP_PERMILLE 700U
#define SERVICE_RUNTIME_REST_MS UINT64_C(10000)
#define SERVICE_RUNTIME_MOST_MS UINT64_C(5000)
#define SERVICE_RUNTIME_LOOK_MS 50U
#define SERVICE_RUNTIME_SHARE 20U
#define SERVICE_RUNTIME_COLLECTIONS 4U
#define SERVICE_RUNTIME_COMMAND_BYTES 64
#define SERVICE_RUNTIME_NEVER UINT64_MAX

struct service;
struct service_host;

struct service_runtime {
	enum config_runtime kind; /* CONFIG_RUNTIME_AUTO = none is known */
	struct runtime_given given;
	bool has_heap;             /* of ours */
	bool is_static;            /* no library can be preloaded */
	bool wanted;               /* the level asks for it */
	enum level told;           /* at which it was asked last */
	uint64_t rest_ms;          /* it is not asked before that, but at a higher level */
	struct jvm_worker *worker; /* it is being asked; NULL = not */
	uint64_t look_ms;          /* when to look whether that is over */
	struct jvm_avoided avoided;
	/* The service's limit, where java was given one: */
	uint64_t first_bytes; /* at the start; 0 = it was given none */
	uint64_t limit_bytes; /* as it knows it */
	bool is_limit;        /* what it is being asked is to take another one */
	char command[SERVICE_RUNTIME_COMMAND_BYTES];
};

/* At a start, after the verdict about the program.  has_heap: our allocator is preloaded, and not
 * the agent for another.  0 or -ENOMEM. */
int service_runtime_give(struct service *service, const struct service_host *host,
	const struct shim_verdict *verdict, bool has_heap, struct environment *environment);

/* Whether the level or another limit asks for something, and does what is due. */
void service_runtime_step(
	struct service *service, const struct service_host *host, uint64_t now_ms);
uint64_t service_runtime_deadline_ms(const struct service_runtime *runtime);

/* What would help a service that came near its limit: a sentence, or NULL where nothing is known or
 * it was done. */
const char *service_runtime_advice(const struct service *service);

/* The service has ended. */
void service_runtime_end(struct service_runtime *runtime);

#endif
