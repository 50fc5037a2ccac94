#ifndef SHIM_HEAP_SCAVENGE_SCAVENGE_POLICY_H
#define SHIM_HEAP_SCAVENGE_SCAVENGE_POLICY_H

#include "shim/heap/pages/reuse.h"

#include <stdbool.h>

/*
 * What may go at calm: ages, sizes, costs, a price and the time in, a plan out.
 * Pure: no clock, no lock, no system call, no allocation; what a policy must
 * remember stands in a struct scavenge_state that the caller keeps.
 *
 *	off		nothing
 *	go1.11		every 2.5 minutes what idled for 5: MADV_DONTNEED
 *	go1.12		that, by MADV_FREE and only beyond 9/8 of the most that was in
 *			use in the last 16 cycles; and a heap that grows by N bytes
 *			gives N bytes of its largest idle runs for them
 *	go1.13		what is over 11/10 of what was in use at the end of the last
 *			cycle, whatever its age, at the background's pace, MADV_FREE
 *	decay		jemalloc's: of pages that became idle so long ago the part stays
 *			that smoothstep has for it, which falls to none in 10 s
 *	adaptive	what has become dearer to keep than to give back (below)
 *
 * A cycle, a garbage collection to Go, is CYCLE_BYTES handed out in pages or
 * CYCLE_NS, whichever comes first: headroom is bounded in wall time, so that a
 * spike followed by silence is let go.  Thread caches and empty slabs of the Go
 * policies and decay are emptied after a cycle without use.
 *
 *
 * adaptive.  Giving a page back costs A now, the system call's share, and R
 * later if it is wanted again, the fault.  Keeping it costs p a second.  Where
 * nothing is known of when pages are wanted, it is kept for as long as the
 * keeping costs what the round trip would have:
 *
 *	break-even  b = (A + R) / p
 *
 * This is the ski-rental rule (Karlin, Manasse, Rudolph, Sleator 1988), and
 * costs at most twice what knowing the future would have, as follows.  Let the
 * page be wanted again at T, and a release be charged with its round trip, A + R.
 * Who knows T pays min(pT, A + R).  We pay pT when T < b, which is what he pays;
 * else pb + A + R = 2 (A + R), while he pays A + R, since pT >= pb = A + R.  A
 * page that is never wanted again is given back by both; charged by what really
 * happens it has no R, he pays A, and we 2 A + R, which is twice his cost and one
 * fault.  That is once for a page, since nothing comes after never.  Over any
 * trace: cost <= 2 * optimum + R * pages.   tests/heap/test_scavenge_policy has adversaries
 * try.
 *
 * Where something is known, the same costs are weighed by how likely it is.
 * reuse.h has, by size and age, the rate h at which idle pages are wanted.  From
 * the last age backwards, with S = 1 / (1 + h w) the part of a bucket of width w
 * that is not wanted in it,
 *
 *	again(i) = 1 - S (1 - again(i+1))		ever wanted again
 *	lazy(i)  = min( L + R again(i),			give back the lazy page
 *			p q w (1 + S) / 2 + (1 - S) r + S lazy(i+1) )
 *	dirty(i) = min( A + R again(i),			give back at once
 *			F + lazy(i),			MADV_FREE it
 *			p w (1 + S) / 2 + S dirty(i+1) )
 *
 * with F the cost of MADV_FREE, L that of giving back what is lazy, r that of
 * writing to a lazy page, and q the part of the price that a lazy page costs:
 * it is charged until the kernel takes it, but the kernel takes it first and for
 * nothing.  A page goes when its age is in a bucket in which not to hold is best,
 * and whether by MADV_FREE or by MADV_DONTNEED falls out of the same sums.  (Going
 * by the first such bucket alone would let go of what was never seen to age so far
 * just because others were let go young.)
 *
 * What was not seen yet is not impossible: to what was counted a prior is added,
 * an eighth of the pages of that size that are wanted at rate 1 / age.  With that
 * rate alone keeping pays exactly until b, for what keeping saves, (A + R) / age,
 * falls under p there: the ski-rental rule is what this arithmetic says when it
 * has seen nothing, and evidence moves it from there.
 *
 * Whether pages are due is looked at each P.  They go P / 2 late then, which costs
 * k P / 2 where keeping what idles costs k a second, once in the time h that they are
 * held; looking costs c h / P meanwhile.  The sum is least at P = sqrt(2 c h / k).  P is
 * at most h / 2, because more may become idle in it.
 */

/* When to ask again: not before the heap was used again. */
#define HEAP_UNTIL_USED UINT64_MAX

enum heap_policy {
	HEAP_ADAPTIVE,
	HEAP_OFF,
	HEAP_GO1_11,
	HEAP_GO1_12,
	HEAP_GO1_13,
	HEAP_DECAY,
	HEAP_POLICIES
};

/* 10 permille of a CPU; 1 GiB of idle memory costs as much as one busy CPU. */
#define HEAP_CPU_PERMILLE 10U
#define HEAP_PRICE_NS 3814U
#define HEAP_PRICE_NS_MAX 10000000U

/* ns a page; each size has advice costs of its own, since a call has a fixed part. */
struct scavenge_costs {
	uint64_t free_page_ns[RUN_CLASSES];
	uint64_t dontneed_page_ns[RUN_CLASSES];
	uint64_t dontneed_lazy_page_ns;
	uint64_t refault_page_ns;
	uint64_t lazy_write_page_ns;
	uint64_t refault_huge_page_ns; /* 0: whole chunks don't become huge pages */
};

static inline uint64_t scavenge_refault_page_ns(
	const struct scavenge_costs *costs, enum run_class size)
{
	return size == RUN_CHUNK && costs->refault_huge_page_ns != 0 ? costs->refault_huge_page_ns
								     : costs->refault_page_ns;
}

/* What holds before anything was measured: medians of one machine. */
extern const struct scavenge_costs scavenge_costs_first;

/* What of the price a lazy page costs: all of it by memory.current, by which services are judged,
 * but whoever needs the page has it for a scan. */
#define SCAVENGE_LAZY_PERMILLE 750U

#define SCAVENGE_CYCLE_BYTES ((uint64_t)256 << 20)
#define SCAVENGE_CYCLE_NS ((uint64_t)5 * 1000000000)
#define SCAVENGE_CYCLES 16U
#define SCAVENGE_DECAY_EPOCHS 200U
#define SCAVENGE_DECAY_NS ((uint64_t)10 * 1000000000)

struct scavenge_view {
	uint64_t now_ns;
	uint64_t price_ns; /* of a page for a second */
	bool dontneed_only;
	uint64_t in_use_bytes;
	uint64_t dirty_bytes;
	uint64_t lazy_bytes;
	uint64_t taken_bytes; /* handed out in pages, ever */
	const struct scavenge_costs *costs;
	const struct reuse *reuse;
};

struct scavenge_plan {
	struct hunt_ages away; /* MADV_DONTNEED */
	struct hunt_ages lazy; /* MADV_FREE, of dirty ones only */
	uint64_t keep_bytes;   /* idle dirty ones that stay in any case */
	uint64_t slabs_before_ns;
	bool holes;
	uint64_t pause_ns;  /* until it is worth while to ask again */
	uint64_t settle_ns; /* what idled so long and did not go won't go */
	uint64_t break_even_ns;
};

struct scavenge_state {
	bool begun;
	enum heap_policy policy;
	uint64_t cycle_at_ns; /* the cycle began */
	uint64_t cycle_taken_bytes;
	uint64_t cycle_peak_bytes;               /* most in use so far in it */
	uint64_t peaks_bytes[SCAVENGE_CYCLES];   /* of the last ones */
	unsigned cycle;                          /* counts them */
	uint64_t cycle_end_bytes;                /* in use at the end of the last */
	uint64_t run_at_ns;                      /* when go1.11 last looked */
	uint64_t backlog[SCAVENGE_DECAY_EPOCHS]; /* bytes that became idle, oldest first */
	uint64_t epoch_at_ns;
	uint64_t unpurged_bytes;
};

/* Everything in *plan is set.  A state of zeros is a beginning, and another policy begins anew. */
void scavenge_policy_step(struct scavenge_state *state, enum heap_policy policy,
	const struct scavenge_view *view, struct scavenge_plan *plan);

/* adaptive's part of it. */
void scavenge_adaptive(const struct scavenge_view *view, struct scavenge_plan *plan);

/* (A + R) / p for the sizes of most idle memory, at most an hour. */
uint64_t scavenge_break_even_ns(
	const struct scavenge_costs *costs, enum run_class size, uint64_t price_ns);

#endif
