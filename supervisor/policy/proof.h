#ifndef SUPERVISOR_POLICY_PROOF_H
#define SUPERVISOR_POLICY_PROOF_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether what a service says it gave back is seen in usage.
 *
 * A slot is written by the service itself.  One that says of each release that it gave 50 MiB, and
 * still holds 50 MiB idle, would be asked before all others, and as long as it holds idle memory it
 * is never concluded that nothing is left.  So each release is measured a second time: usage
 * before, plus the credit that was taken meanwhile, less usage after.  With and without what the
 * kernel takes back by itself, and the larger one counts: files that are read hide a fall of usage,
 * and lazily freed pages are no usage in the other view.
 *
 * What is said and what is seen differ for honest reasons too: something else in the cgroup grows,
 * or the kernel had taken the lazily freed pages already.  So only releases of PROOF_BYTES or more
 * count, a service is doubted after PROOF_TIMES of them in a row of which less than a quarter was
 * seen, and believed again after one of which half was.
 *
 * What a doubted service holds idle counts as nothing.  It is asked as one that gives nothing.
 */

#define PROOF_BYTES ((uint64_t)4 * 1024 * 1024)
#define PROOF_TIMES 3U

/* Of the service's cgroup; where it has none, of that of all services. */
struct proof_usage {
	uint64_t current_bytes;
	uint64_t used_bytes;  /* less what the kernel takes back by itself */
	uint64_t taken_bytes; /* credit, since ever */
};

struct proof {
	struct proof_usage before; /* when the release was asked for */
	unsigned unseen;           /* releases in a row */
};

void proof_begin(struct proof *proof, const struct proof_usage *usage);

/* said_bytes: what the service says came back since proof_begin. */
void proof_end(struct proof *proof, uint64_t said_bytes, const struct proof_usage *usage);

bool proof_is_doubted(const struct proof *proof);

#endif
