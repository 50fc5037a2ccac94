#ifndef SHIM_HEAP_PAGES_REUSE_H
#define SHIM_HEAP_PAGES_REUSE_H

#include <stddef.h>
#include <stdint.h>

/*
 * How soon idle pages are wanted again: a decaying histogram by size and age.
 *
 * Size is that of the longest free run of the chunk that a page lies in, in
 * five classes; age is the time since one of the same 64 pages was last freed.
 * For each of both it is known how many pages were handed out again at that age
 * (wanted) and for how long pages were idle at that age at all (exposed), the
 * ones that were given back included.  Their quotient is the rate at which an
 * idle page of that age is wanted, the hazard of survival analysis: pages that
 * never come back count by their exposure, nothing has to be guessed about those
 * whose time is not over, and a policy that gives back early still learns what
 * would have come later.
 *
 * Both sums halve in ten minutes or a little more, so that what a service did an hour ago
 * counts for little and a burst every five minutes is remembered.
 *
 * Plain data without locks: the page heap keeps one under its lock.
 */

enum run_class { RUN_SHORT, RUN_16_PAGES, RUN_64_PAGES, RUN_256_PAGES, RUN_CHUNK, RUN_CLASSES };

enum run_class run_class_of(size_t pages);

/* Ages: under 4.2 ms, then two to an octave; the last has no end and begins at 37 minutes. */
#define REUSE_BUCKETS 40U

unsigned reuse_bucket(uint64_t age_ns);
uint64_t reuse_bucket_start_ns(unsigned bucket);

/*
 * Which pages go, by the size of their chunk: those of whose 64 the last was freed before
 * this (0: none, UINT64_MAX: any) and whose age now lies in one of these buckets, a bit
 * each.
 */
struct hunt_age {
	uint64_t before_ns;
	uint64_t buckets;
};

#define HUNT_ALL_BUCKETS UINT64_MAX

struct hunt_ages {
	uint64_t now_ns;
	struct hunt_age dirty[RUN_CLASSES];
	struct hunt_age lazy[RUN_CLASSES];
};

/* The unit of exposure: pages times so many nanoseconds, both sums in sixteenths. */
#define REUSE_TICK_NS ((uint64_t)1 << 16)
#define REUSE_PART 16U

struct reuse {
	uint64_t wanted[RUN_CLASSES][REUSE_BUCKETS];
	uint64_t exposed[RUN_CLASSES][REUSE_BUCKETS];
	uint64_t most[RUN_CLASSES]; /* pages idle at once lately, in sixteenths, as they decay */
	uint64_t decayed_at_ns;
};

#define REUSE_HALF_LIFE_NS ((uint64_t)600 * 1000000000)

void reuse_wanted(struct reuse *reuse, enum run_class size, uint64_t age_ns, size_t pages);

/*
 * Pages were idle while they grew from one age to the other: they count for those
 * buckets that they have been through.  That a page has lived to its present age says
 * nothing of how it goes on, and the bucket that it is in would look as if it did.
 */
void reuse_exposed(struct reuse *reuse, enum run_class size, uint64_t from_age_ns,
	uint64_t to_age_ns, size_t pages);

/* So many pages were idle at once. */
void reuse_idle(struct reuse *reuse, enum run_class size, size_t pages);

/* Lets both sums fade; now_ns never falls. */
void reuse_decay(struct reuse *reuse, uint64_t now_ns);

#endif
