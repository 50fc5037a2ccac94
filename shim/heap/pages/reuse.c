/* The histogram of how soon idle pages are wanted again. */
#include "shim/heap/pages/reuse.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/page.h"

#define FIRST_SHIFT 22 /* 4.2 ms */
/* The square root of 2 as a fraction of 128. */
#define HALF_OCTAVE 181U

/* Smaller parts of a half-life would be lost in rounding. */
#define DECAY_PERMILLE_MIN 10U

enum run_class run_class_of(size_t pages)
{
	if (pages >= CHUNK_PAGES)
		return RUN_CHUNK;
	if (pages >= 256)
		return RUN_256_PAGES;
	if (pages >= 64)
		return RUN_64_PAGES;
	return pages >= 16 ? RUN_16_PAGES : RUN_SHORT;
}

unsigned reuse_bucket(uint64_t age_ns)
{
	uint64_t units = age_ns >> FIRST_SHIFT;
	unsigned octave;
	unsigned bucket;

	if (units == 0)
		return 0;
	octave = bits_highest(units);
	bucket = 1 + 2 * octave;
	if (age_ns >> (FIRST_SHIFT - 7) >= (uint64_t)HALF_OCTAVE << octave)
		bucket++;
	return bucket < REUSE_BUCKETS ? bucket : REUSE_BUCKETS - 1;
}

uint64_t reuse_bucket_start_ns(unsigned bucket)
{
	unsigned octave;

	if (bucket == 0)
		return 0;
	octave = (bucket - 1) / 2;
	return (bucket - 1) % 2 == 0 ? (uint64_t)1 << (FIRST_SHIFT + octave)
				     : (uint64_t)HALF_OCTAVE << (FIRST_SHIFT - 7 + octave);
}

static void add(uint64_t *sum, uint64_t more)
{
	*sum = *sum + more < *sum ? UINT64_MAX : *sum + more;
}

/* Pages times so long, in sixteenths of a tick. */
static uint64_t exposure(uint64_t part, uint64_t ns)
{
	uint64_t ticks = ns / REUSE_TICK_NS;

	return part != 0 && ticks > UINT64_MAX / part ? UINT64_MAX : part * ticks;
}

void reuse_wanted(struct reuse *reuse, enum run_class size, uint64_t age_ns, size_t pages)
{
	unsigned bucket = reuse_bucket(age_ns);
	uint64_t part = (uint64_t)pages * REUSE_PART;

	add(&reuse->wanted[size][bucket], part);
	add(&reuse->exposed[size][bucket], exposure(part, age_ns - reuse_bucket_start_ns(bucket)));
}

void reuse_idle(struct reuse *reuse, enum run_class size, size_t pages)
{
	uint64_t part = (uint64_t)pages * REUSE_PART;

	if (part > reuse->most[size])
		reuse->most[size] = part;
}

void reuse_exposed(struct reuse *reuse, enum run_class size, uint64_t from_age_ns,
	uint64_t to_age_ns, size_t pages)
{
	unsigned end = reuse_bucket(to_age_ns);
	uint64_t part = (uint64_t)pages * REUSE_PART;

	reuse_idle(reuse, size, pages);
	for (unsigned i = reuse_bucket(from_age_ns); i < end; i++)
		add(&reuse->exposed[size][i],
			exposure(part, reuse_bucket_start_ns(i + 1) - reuse_bucket_start_ns(i)));
}

/* A value after so long: halved for each half-life, and along the chord between. */
static uint64_t faded(uint64_t value, uint64_t halvings, uint64_t rest_permille)
{
	if (halvings >= 64)
		return 0;
	value >>= halvings;
	return value - value / 2000 * rest_permille - value % 2000 * rest_permille / 2000;
}

void reuse_decay(struct reuse *reuse, uint64_t now_ns)
{
	uint64_t since_ns = now_ns - reuse->decayed_at_ns;
	uint64_t halvings = since_ns / REUSE_HALF_LIFE_NS;
	uint64_t permille = since_ns % REUSE_HALF_LIFE_NS / (REUSE_HALF_LIFE_NS / 1000);

	if (halvings == 0 && permille < DECAY_PERMILLE_MIN)
		return;
	reuse->decayed_at_ns = now_ns - since_ns % (REUSE_HALF_LIFE_NS / 1000);
	for (unsigned size = 0; size < RUN_CLASSES; size++) {
		for (unsigned i = 0; i < REUSE_BUCKETS; i++) {
			reuse->wanted[size][i] = faded(reuse->wanted[size][i], halvings, permille);
			reuse->exposed[size][i] =
				faded(reuse->exposed[size][i], halvings, permille);
		}
		reuse->most[size] = faded(reuse->most[size], halvings, permille);
	}
}
