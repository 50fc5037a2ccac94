/* Whether what a service says it gave back is seen in usage. */
#include "supervisor/policy/proof.h"

#include "supervisor/policy/fraction.h"

void proof_begin(struct proof *proof, const struct proof_usage *usage)
{
	proof->before = *usage;
}

void proof_end(struct proof *proof, uint64_t said_bytes, const struct proof_usage *usage)
{
	const struct proof_usage *before = &proof->before;
	uint64_t more_bytes = fraction_less(usage->taken_bytes, before->taken_bytes);
	uint64_t fall_bytes = fraction_less(
		fraction_plus(before->current_bytes, more_bytes), usage->current_bytes);
	uint64_t seen_bytes =
		fraction_less(fraction_plus(before->used_bytes, more_bytes), usage->used_bytes);
	if (fall_bytes > seen_bytes)
		seen_bytes = fall_bytes;
	if (said_bytes < PROOF_BYTES)
		return;
	if (seen_bytes >= said_bytes / 2)
		proof->unseen = 0;
	else if (seen_bytes < said_bytes / 4 && proof->unseen < PROOF_TIMES)
		proof->unseen++;
}

bool proof_is_doubted(const struct proof *proof)
{
	return proof->unseen >= PROOF_TIMES;
}
