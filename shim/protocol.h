#ifndef SHIM_PROTOCOL_H
#define SHIM_PROTOCOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/figures.h"

/*
 * The link: the memory that the supervisor and every process of one service share.
 *
 * Two sealed memfds per service (they can neither shrink nor grow, so that no
 * peer can turn a read of the other into SIGBUS):
 *
 *   the header  LINK_HEADER_BYTES, struct link_header; written by the supervisor
 *               alone.  It is sealed against every other writer
 *               (F_SEAL_FUTURE_WRITE), so that a process of the service that is
 *               not to be trusted cannot steer the others
 *   the slots   LINK_BYTES, written by both:
 *                 page 0      struct link_gate
 *                 page 1 ...  struct link_slot[]  one per process, written by it
 *
 * A kernel before 5.1 has no such seal.  There the services get a descriptor of the header that
 * only reads, of a file that only its owner may write: a process of another user cannot write it,
 * one of the supervisor's own user could by opening it again.
 *
 * Nobody reads more than a page it needs, so the unused slots cost nothing.
 *
 * A shim finds both through LINK_ENVIRONMENT, whose value is
 *
 *   VERSION:FD:DEVICE:INODE:FD:DEVICE:INODE:SOCKET:TOKEN
 *
 * VERSION is LINK_VERSION in decimal digits.  Each FD, of the header first, then of the slots, is
 * inherited; its DEVICE and INODE (fstat) prove that it still is what it was.  All of these are
 * decimal.  A process that was started after its parent closed one of them connects to the
 * abstract AF_UNIX SOCK_SEQPACKET address SOCKET (no leading NUL in the text), sends the TOKEN (32
 * hex digits), and is answered one byte with both descriptors attached (SCM_RIGHTS), the header's
 * first.  That works under another user, in a chroot, on a read-only
 * root; it does not in another network namespace, where the shim runs alone.
 *
 * Waiting is futex on words of the mappings and uses no descriptor, so that
 * nothing breaks when a service closes them all:
 *
 *   header.sequence   shims sleep on it; the supervisor adds 1 and wakes all
 *                     after it changed the level or asks for a release
 *   gate.turn         growing heaps sleep on it; the supervisor adds 1 and
 *                     wakes all after it wrote new credit
 *   gate.notify       the supervisor sleeps on it; a shim adds 1 and wakes one
 *                     when its slot has news that cannot wait for a tick:
 *                     wants_bytes, sequence_done after a release, or growth
 *                     beyond gate.notice_bytes
 *
 * Trust: each side takes what the other wrote as input from a stranger.  A
 * value read is copied once, checked, and only then used.  A shim follows nothing but the header:
 * whether the gate is closed at all stands there (gate_limited), and what stands in the gate can
 * make a heap wait for gate_wait_ms at the most.
 *
 * Versions: 1 the first; 2 tells how to scavenge at calm, and what that came to; 3 has the header
 * in a file of its own.  A shim joins its own version only, and says so on stderr.  The supervisor
 * heeds no slot that does not have its version.
 */

#define LINK_MAGIC 0x5350494cU /* "SPIL" */
#define LINK_VERSION 3U
#define LINK_PAGE_BYTES 4096U
#define LINK_HEADER_BYTES LINK_PAGE_BYTES
#define LINK_SLOTS 1024U
#define LINK_SLOT_BYTES 256U
#define LINK_BYTES (LINK_PAGE_BYTES + LINK_SLOTS * LINK_SLOT_BYTES)
#define LINK_ENVIRONMENT "SPILLWAY_LINK"
#define LINK_TOKEN_CHARS 32U
#define LINK_WALL_DIRECTORY_BYTES 1024U
#define LINK_SPARED_WHOLE 65535U
/* So long after the heartbeat the supervisor is taken for gone. */
#define LINK_SILENT_MS 2000U

/* In the order in which the environment and the socket have them. */
enum link_file { LINK_FILE_HEADER, LINK_FILE_SLOTS, LINK_FILES };

enum link_level { LINK_CALM, LINK_LAZY, LINK_EAGER, LINK_FULL, LINK_LEVELS };

/* What decides at calm which idle memory goes. */
enum link_scavenge {
	LINK_SCAVENGE_ADAPTIVE,
	LINK_SCAVENGE_OFF,
	LINK_SCAVENGE_GO1_11,
	LINK_SCAVENGE_GO1_12,
	LINK_SCAVENGE_GO1_13,
	LINK_SCAVENGE_DECAY,
	LINK_SCAVENGES
};

/* How idle memory goes where it may: as the policy says, or always MADV_DONTNEED. */
enum link_madvise { LINK_MADVISE_AUTO, LINK_MADVISE_DONTNEED, LINK_MADVISES };

struct link_header {
	uint32_t magic;
	uint32_t version;
	/* The level in force until it changes, and the release asked for once with
	 * this sequence number.  release_level is LINK_CALM where only the level changed. */
	_Atomic uint32_t sequence;
	_Atomic uint32_t level;
	_Atomic uint32_t release_level;
	/* How long a growing heap may wait for credit; 0: not at all. */
	_Atomic uint32_t gate_wait_ms;
	/* What the whole service should give back, divided by spared; UINT64_MAX = all it can. */
	_Atomic uint64_t target_bytes;
	/* Keeping one idle page (4 KiB) for one second, in nanoseconds of CPU time; 0 = the shim's
	 * own default. */
	_Atomic uint64_t price_ns;
	/* Wall minus usage, as last read; UINT64_MAX where there is no wall. */
	_Atomic uint64_t headroom_bytes;
	/* CLOCK_MONOTONIC of the supervisor's last tick, or a later time up to which it need not
	 * tick again: it is silent from LINK_SILENT_MS after that on. */
	_Atomic uint64_t heartbeat_ms;
	/* st_ino of the supervisor's /proc/self/ns/pid: a process in another one
	 * takes no slot, since its pid would mean nothing here. */
	uint64_t pid_namespace;
	uint32_t supervisor_pid;
	/* How to scavenge at calm; a change comes with a new sequence. */
	_Atomic uint32_t scavenge; /* enum link_scavenge */
	_Atomic uint32_t madvise;  /* enum link_madvise */
	/* Of one CPU, over any ten seconds; 0 = the shim's default. */
	_Atomic uint32_t cpu_permille;
	/* 0: growth costs no credit, whatever the gate says. */
	_Atomic uint32_t gate_limited;
	char wall_directory[LINK_WALL_DIRECTORY_BYTES];
	/* What the process with that slot is spared of target_bytes, in parts of
	 * LINK_SPARED_WHOLE: 0 = nothing, LINK_SPARED_WHOLE = it is asked for nothing, and answers.
	 * Belongs to the release with this sequence number, as target_bytes does. */
	_Atomic uint16_t spared[LINK_SLOTS];
};

/*
 * The growth gate.  Near the wall the supervisor hands out headroom as credit.
 * A heap that is about to make pages resident first takes the bytes out of
 * credit_bytes (compare and swap, never below zero) and adds what it released
 * itself.  UINT64_MAX means no limit, and so does header.gate_limited 0.
 */
struct link_gate {
	_Atomic uint64_t credit_bytes;
	_Atomic uint32_t turn;
	_Atomic uint32_t notify;
	/* What the heaps may still grow by, all together, before one of them notifies us;
	 * UINT64_MAX: without end.  Who takes the last of it writes that. */
	_Atomic uint64_t notice_bytes;
};

/* What a process allocates with. */
enum link_allocator {
	LINK_ALLOCATOR_SPILLWAY, /* libspillway.so */
	LINK_ALLOCATOR_UNKNOWN,  /* libspillway-agent.so, and one that it does not know */
	LINK_ALLOCATOR_GLIBC,
	LINK_ALLOCATOR_JEMALLOC,
	LINK_ALLOCATOR_TCMALLOC,
	LINK_ALLOCATOR_MIMALLOC,
	LINK_ALLOCATORS
};

#define LINK_MEMBER(name, kind, attribute) _Atomic uint64_t name;

struct link_slot {
	/* 0 = free, else start_ticks' low 32 bits << 32 | pid: taken and freed by
	 * compare and swap.  The supervisor frees it when that process is gone. */
	_Atomic uint64_t owner;
	_Atomic uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	_Atomic uint32_t sequence_done;
	_Atomic uint32_t has_thread;
	/* Of the one process: figures.h says what each is. */
	FIGURES_OF_SLOT(LINK_MEMBER)
	uint8_t reserved[LINK_SLOT_BYTES - 5 * 8 - FIGURES_BYTES(FIGURES_OF_SLOT)];
	_Atomic uint64_t allocator; /* enum link_allocator; the first one found of several */
	_Atomic uint64_t version;   /* LINK_VERSION of the shim */
};

_Static_assert(sizeof(struct link_header) <= LINK_HEADER_BYTES, "layout");
_Static_assert(sizeof(struct link_gate) == 24, "layout");
_Static_assert(sizeof(struct link_slot) == LINK_SLOT_BYTES, "layout");
_Static_assert(offsetof(struct link_header, target_bytes) == 24, "layout");
_Static_assert(offsetof(struct link_slot, in_use_bytes) == 24, "layout");
/* A figure of version 3 that moves makes it another version. */
_Static_assert(offsetof(struct link_slot, gate_waits) == 136, "layout");
_Static_assert(offsetof(struct link_slot, background_cpu_ns) == 192, "layout");
_Static_assert(offsetof(struct link_slot, version) == LINK_SLOT_BYTES - 8, "layout");

#endif
