/*
 * A service that says on stdout what the supervisor's half of its link holds, at once and whenever
 * that has changed, one line each:
 *
 *   woken sequence=3 scavenge=1 madvise=0 cpu_permille=10 price_ns=3814
 *
 * "woken" where a new sequence number woke it or was there before it slept, "seen" where it looked
 * by itself.
 */
#include "tests/system/link_files.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 20000000

struct view {
	uint32_t sequence;
	uint32_t scavenge;
	uint32_t madvise;
	uint32_t cpu_permille;
	uint64_t price_ns;
};

/* Fields that belong together, as the sequence has them. */
static struct view look(const struct link_header *header)
{
	struct view view;
	do {
		view = (struct view){
			.sequence = atomic_load(&header->sequence),
			.scavenge = atomic_load(&header->scavenge),
			.madvise = atomic_load(&header->madvise),
			.cpu_permille = atomic_load(&header->cpu_permille),
			.price_ns = atomic_load(&header->price_ns),
		};
	} while (atomic_load(&header->sequence) != view.sequence);
	return view;
}

static bool is_same(const struct view *a, const struct view *b)
{
	return a->sequence == b->sequence && a->scavenge == b->scavenge &&
	       a->madvise == b->madvise && a->cpu_permille == b->cpu_permille &&
	       a->price_ns == b->price_ns;
}

static void say(const char *how, const struct view *view)
{
	printf("%s sequence=%u scavenge=%u madvise=%u cpu_permille=%u price_ns=%llu\n", how,
		view->sequence, view->scavenge, view->madvise, view->cpu_permille,
		(unsigned long long)view->price_ns);
	fflush(stdout);
}

/* Whether there is a new sequence number. */
static bool wait_for_news(const struct link_header *header, uint32_t sequence)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	long woken = syscall(SYS_futex, &header->sequence, FUTEX_WAIT, sequence, &look, NULL, 0);
	return woken == 0 || errno == EAGAIN;
}

int main(void)
{
	struct link_names names;
	const struct link_header *header =
		link_names_read(&names) == 0 ? link_map_header(&names) : NULL;
	if (header == NULL || header->magic != LINK_MAGIC || header->version != LINK_VERSION) {
		fprintf(stderr, "link: there is none\n");
		return 2;
	}
	struct view before = look(header);
	say("seen", &before);
	for (;;) {
		bool woken = wait_for_news(header, before.sequence);
		struct view now = look(header);
		if (is_same(&now, &before))
			continue;
		say(woken ? "woken" : "seen", &now);
		before = now;
	}
}
