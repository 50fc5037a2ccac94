#ifndef SHIM_SPILLWAY_H
#define SHIM_SPILLWAY_H

#include <stddef.h>
#include <stdint.h>

/*
 * For applications that want to know, or to have a say, when spillway's allocator is
 * there.  Nothing to link with: every function is declared weak, and is NULL where
 * libspillway.so is not preloaded.
 *
 *	#include <spillway.h>
 *
 *	if (spillway_set_level != NULL)
 *		spillway_set_level(SPILLWAY_EAGER);
 *
 * or ask spillway_is_loaded() once.  A program that is not position-independent
 * (-no-pie) needs -fno-plt besides where the compiler is clang; a static one sees
 * NULL always.
 *
 * All functions may be called by any thread, but not by a signal's handler.  They
 * keep errno and return 0 or a negative error number.
 *
 * Levels and subscriptions are the business of the scavenger's thread, which is
 * started for them where there is none yet.  Where none can be had (RLIMIT_NPROC,
 * a system call filter, a main thread that left by pthread_exit) the level still
 * holds, the release asked for with it is begun in the calling thread and goes on
 * in those that allocate, and subscribers are not called: spillway_stats tells the
 * level.
 */

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define SPILLWAY_WEAK __attribute__((weak, noplt, visibility("default")))
#else
#define SPILLWAY_WEAK __attribute__((weak, visibility("default")))
#endif

/* How hard the heap gives back what is idle; the README says what each of them does. */
enum spillway_level { SPILLWAY_CALM, SPILLWAY_LAZY, SPILLWAY_EAGER, SPILLWAY_FULL };

/* What decides at calm which idle memory goes. */
enum spillway_policy {
	SPILLWAY_ADAPTIVE,
	SPILLWAY_OFF,
	SPILLWAY_GO1_11,
	SPILLWAY_GO1_12,
	SPILLWAY_GO1_13,
	SPILLWAY_DECAY
};

/* Bytes in whole pages, but for the free slots.  What is counted since the start only rises. */
struct spillway_stats {
	uint64_t mapped_bytes; /* in_use + idle_dirty + lazy + clean + metadata */
	uint64_t in_use_bytes; /* handed out, or cut into slots, free slots included */
	uint64_t free_slot_bytes;
	uint64_t idle_dirty_bytes; /* idle and resident */
	uint64_t lazy_bytes;       /* idle, and the kernel's to take */
	uint64_t clean_bytes;      /* not resident */
	uint64_t metadata_bytes;
	/* Given back, by what made it go: at calm, when the heap grew near the wall, and at
	 * the levels. */
	uint64_t released_background_bytes;
	uint64_t released_growth_bytes;
	uint64_t released_lazy_bytes;
	uint64_t released_eager_bytes;
	uint64_t released_full_bytes;
	uint64_t advise_calls;
	uint64_t advise_ns;
	/* Not resident and handed out again; of that, really touched, by sampling. */
	uint64_t refault_bytes;
	uint64_t refault_touched_bytes;
	/* Given back and wanted again sooner than it paid; kept for longer than it paid. */
	uint64_t regret_release_bytes;
	uint64_t regret_hold_bytes;
	/* For how long keeping an idle page costs less than giving it back. */
	uint64_t break_even_ns;
	uint64_t background_cpu_ns; /* what scavenging at calm took */
	uint64_t price_ns;          /* keeping one idle page for one second, in ns of CPU time */
	uint32_t cpu_permille;      /* what scavenging at calm may take of one CPU */
	uint32_t dontneed_only;     /* 1: MADV_DONTNEED also where the policy would use MADV_FREE */
	uint32_t level;             /* enum spillway_level: in force */
	uint32_t policy;            /* enum spillway_policy */
};

/*
 * bytes: sizeof *stats.  The struct grows at its end only: a library that is older
 * than the header fills the rest with zeros, a newer one leaves off what it does not know.
 * -EINVAL: no such struct.  Never allocates.
 */
int spillway_stats(struct spillway_stats *stats, size_t bytes) SPILLWAY_WEAK;

/* A release at full in the calling thread, all threads' caches included: the bytes given back. */
size_t spillway_free_os_memory(void) SPILLWAY_WEAK;

/*
 * The process's own floor of the level in force, which is the higher of this and the
 * supervisor's; SPILLWAY_CALM takes it back.  A level that is raised asks for one
 * release at that level, too.  -EINVAL: no such level.
 */
int spillway_set_level(enum spillway_level level) SPILLWAY_WEAK;

/*
 * changed is called after each change of the level in force: by the supervisor,
 * by spillway_set_level, and by an event of systemd's MEMORY_PRESSURE_WATCH, which
 * means eager for five seconds.  What it frees is given back soon after.
 *
 * It is called on the scavenger's thread, with no lock held, signals blocked and
 * less than 100 KiB of stack.  It may allocate, free and call everything here; it
 * is to be quick, since nothing is given back meanwhile, and must not return
 * in a child that it forked.  The child of any other fork keeps its subscriptions,
 * and they are called once it has grown enough to have a thread of its own, or
 * has called for one by a function of these.
 *
 * What is in force already is not told: subscribe, then look at spillway_stats.
 * A pair that is subscribed twice is called twice.  -EINVAL: changed is NULL;
 * -ENOSPC: there are SPILLWAY_SUBSCRIBERS already.
 */
#define SPILLWAY_SUBSCRIBERS 16
int spillway_subscribe(
	void (*changed)(enum spillway_level level, void *with), void *with) SPILLWAY_WEAK;

/*
 * Takes one subscription of the pair back.  A call under way is over when this
 * returns, unless it is from within a subscriber.  -ENOENT: there is none.
 */
int spillway_unsubscribe(
	void (*changed)(enum spillway_level level, void *with), void *with) SPILLWAY_WEAK;

static inline int spillway_is_loaded(void)
{
	return spillway_stats != NULL;
}

#ifdef __cplusplus
}
#endif

#endif
