#ifndef SUPERVISOR_LINK_LINK_H
#define SUPERVISOR_LINK_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "shim/protocol.h"
#include "supervisor/link/link_figures.h"
#include "supervisor/policy/sample.h"

/*
 * The supervisor's end of shim/protocol.h: one link per service.  The listener at
 * which processes that lost the descriptors ask for them is link_listener.h.
 *
 * The header is ours alone.  All that stands in a slot or in the gate was written by a process we
 * do not trust.  Every field is read once into our own memory; sums saturate; totals that may only
 * rise are held at the highest value seen; a slot whose process is gone, or whose start time is
 * another's, is freed by compare and swap and its totals kept.  The worst a lying process achieves
 * is wrong numbers for its own service.
 *
 * Looking for slots asks the file which of its pages exist (SEEK_DATA), since
 * merely reading an untouched page would make one.
 */

struct link;
struct link_listener;

struct link_totals {
	struct heap_sample heap;
	uint32_t threads; /* processes that have a scavenger thread, and so can answer */
	struct link_figures figures;
};

/* listener may be NULL: then lost descriptors stay lost.  name is for /proc/PID/maps only. */
int link_open(const char *name, struct link_listener *listener, struct link **link);

/* The same for the token of a link that an earlier supervisor had: its processes get this one at
 * the listener. */
int link_open_again(
	const char *name, struct link_listener *listener, const char *token, struct link **link);
void link_close(struct link *link);

/* The descriptors that a child inherits, LINK_FILES of them: high, close-on-exec here, so the child
 * clears that flag on the same numbers after fork. */
const int *link_fds(const struct link *link);

/* The value of LINK_ENVIRONMENT, without "SPILLWAY_LINK="; -ENAMETOOLONG. */
#define LINK_VALUE_BYTES 256
int link_environment(const struct link *link, char *value, size_t size);

/* The word that the shims add to and wake, for notifier.h. */
_Atomic uint32_t *link_notify_word(struct link *link);

/* Reads all slots.  proc_fd is a descriptor of /proc (or of a test's). */
void link_read(struct link *link, int proc_fd, uint64_t now_ms, struct link_totals *totals);

/* Look at every slot's process at the next read, because a child has just died. */
void link_suspect(struct link *link);

/* pid had a slot at the last read: the shim works there. */
bool link_has_process(const struct link *link, pid_t pid);

/* What it allocates with, as it says itself; LINK_ALLOCATOR_SPILLWAY where it had no slot. */
enum link_allocator link_process_allocator(const struct link *link, pid_t pid);
const char *link_allocator_name(enum link_allocator allocator);

/* The processes that had a slot at the last read; how many, at most room. */
size_t link_processes(const struct link *link, pid_t *pid, size_t room);

/* Nobody will look at it soon: its pages stay, and are mapped again when they are touched. */
void link_rest(const struct link *link);

/* The directory of the wall's cgroup, for the shims to watch for themselves. */
void link_set_wall_directory(struct link *link, const char *directory);

/* Every tick, without waking anybody but those who wait at the gate. */
struct link_news {
	uint64_t now_ms;
	uint64_t next_ms; /* when the next turn is due at the latest */
	uint64_t headroom_bytes;
	uint64_t credit_bytes;
	uint32_t gate_wait_ms;
	uint64_t notice_bytes;
};
void link_publish(struct link *link, const struct link_news *news);

/* Of keeping an idle page for a second.  Wakes nobody: who gives back looks at it then. */
void link_set_price(struct link *link, uint64_t price_ns);

/* How the policy has it scavenged at calm.  Where that is another way than before it raises
 * the sequence and wakes every scavenger; a release that is open stays open. */
void link_set_scavenge(struct link *link, const struct config_policy *policy);

/* Both raise the sequence and wake every scavenger.  The new sequence number. */
uint32_t link_set_level(struct link *link, enum level level);
uint32_t link_ask(struct link *link, enum level level, uint64_t target_bytes);
enum level link_level(const struct link *link);

/* How many processes that can answer the last release asked for nothing (link_parts.h). */
uint32_t link_spared_processes(const struct link *link);

#endif
