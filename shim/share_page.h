#ifndef SHIM_SHARE_PAGE_H
#define SHIM_SHARE_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/figures.h"

/*
 * The page by which a process tells its figures to whoever may read it: spillctl ps and why.
 *
 * It is a file of SHARE_PAGE_BYTES in SHARE_DIRECTORY_RUN where that is there and may be written,
 * else in SHARE_DIRECTORY_SHM, or in the directory that SPILLWAY_SHARE names.  Its name is
 *
 *	spillway.NAMESPACE.PID.START
 *
 * NAMESPACE is the inode number of the process's /proc/self/ns/pid, PID its id in there, START
 * field 22 of /proc/self/stat, all decimal.  The process makes it when the heap has grown so far
 * that the scavenger's thread is started (worker.h), writes all its bytes, so that the space is
 * there, maps it, and closes it.  At exit the process removes it.  One that is killed leaves it:
 * then it is the record of the last moments.  Whoever makes a page in the same directory keeps the
 * SHARE_DEAD_KEPT youngest of dead processes that it may remove; spillctl removes those that are
 * older than an hour.
 *
 * Only the process writes.  Updates come with what the scavenger does anyway, so the figures of a
 * process at rest may be old: updated_ms tells.  A write makes `sequence` odd before and even
 * after; a reader takes a copy between two equal even values, and where that is not to be had, as
 * when the process was killed in the middle, what there is.
 *
 * Trust: a reader takes the page as input from a stranger.  Names may hold any bytes and need not
 * end in NUL; figures may be any number.
 *
 * Versions: 1 the first.  A new member takes reserved bytes, where an older library leaves 0.
 */

#define SHARE_MAGIC 0x53504750U /* "SPGP" */
#define SHARE_VERSION 1U
#define SHARE_PAGE_BYTES 4096U
#define SHARE_NAME_PREFIX "spillway."
#define SHARE_NAME_BYTES 80U /* of a file's name, with the end */
#define SHARE_DIRECTORY_RUN "/run/spillway/processes"
#define SHARE_DIRECTORY_SHM "/dev/shm"
#define SHARE_ENVIRONMENT "SPILLWAY_SHARE"
#define SHARE_COMMAND_BYTES 16U
#define SHARE_CGROUP_BYTES 1024U
#define SHARE_SAMPLES 16U
/* Samples are at least so far apart; what comes sooner replaces the last one. */
#define SHARE_SAMPLE_MS 250U
#define SHARE_DEAD_KEPT 64U

/* All bytes.  limit UINT64_MAX: none is known; usage 0: not known. */
struct share_sample {
	_Atomic uint64_t at_ms; /* CLOCK_REALTIME; 0 = no sample yet */
	_Atomic uint64_t usage_bytes;
	_Atomic uint64_t limit_bytes;
	_Atomic uint64_t live_bytes;  /* handed out to the program */
	_Atomic uint64_t idle_bytes;  /* resident in the heap and not handed out */
	_Atomic uint64_t lazy_bytes;  /* the kernel's to take */
	_Atomic uint64_t cache_bytes; /* of usage: files and what else the kernel takes back */
	_Atomic uint64_t reserved;
};

#define SHARE_MEMBER(name, kind, attribute) _Atomic uint64_t name;

struct share_page {
	uint32_t magic;
	uint32_t version;
	uint32_t pid; /* in its own namespace */
	uint32_t uid; /* when the page was made */
	uint64_t start_ticks;
	uint64_t pid_namespace;
	_Atomic uint32_t sequence;
	_Atomic uint32_t level;       /* enum link_level */
	_Atomic uint64_t updated_ms;  /* CLOCK_REALTIME; of the figures */
	_Atomic uint64_t walls_ms;    /* the same of the next three; 0 = never */
	_Atomic uint64_t limit_bytes; /* the tightest above the process */
	_Atomic uint64_t usage_bytes; /* at that limit */
	_Atomic uint64_t cache_bytes; /* of this, what the kernel takes back */
	_Atomic uint64_t price_ns;    /* protocol.h */
	_Atomic uint32_t
		sample_count; /* ever written; the last is at (count - 1) % SHARE_SAMPLES */
	uint32_t reserved_word;
	char command[SHARE_COMMAND_BYTES]; /* as /proc/self/comm had it */
	/* The last line of /proc/self/cgroup that counts memory, from its path on. */
	char cgroup[SHARE_CGROUP_BYTES];
	struct share_sample sample[SHARE_SAMPLES];
	uint64_t reserved[64];
	/* Of the one process: figures.h says what each is.  Those that the gate counts stay 0. */
	FIGURES_OF_SLOT(SHARE_MEMBER)
};

_Static_assert(sizeof(struct share_page) <= SHARE_PAGE_BYTES, "layout");
_Static_assert(sizeof(struct share_sample) == 64, "layout");
_Static_assert(offsetof(struct share_page, sequence) == 32, "layout");
_Static_assert(offsetof(struct share_page, command) == 96, "layout");
_Static_assert(offsetof(struct share_page, sample) == 1136, "layout");
_Static_assert(offsetof(struct share_page, in_use_bytes) == 2672, "layout");

#endif
