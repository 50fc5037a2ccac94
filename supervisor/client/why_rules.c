/* What would have kept a cgroup from running out of memory: a table of rules. */
#include "supervisor/client/why_rules.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/base/size.h"

#define MIB ((uint64_t)1 << 20)
#define ROUND_BYTES (16 * MIB)
#define ROOM_SHARE 8
/* This part of the limit is much. */
#define MUCH_SHARE 4

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static bool is_much(const struct why_facts *facts, uint64_t bytes)
{
	uint64_t whole =
		facts->limit_bytes != WHY_NO_LIMIT ? facts->limit_bytes : facts->usage_bytes;
	return whole != 0 && bytes >= whole / MUCH_SHARE;
}

static uint64_t cache_bytes(const struct why_facts *facts)
{
	return less(facts->file_bytes, facts->shared_bytes);
}

/* All that nobody could have given back. */
uint64_t why_needed_bytes(const struct why_facts *facts)
{
	uint64_t given = plus(plus(facts->idle_bytes, facts->lazy_bytes), cache_bytes(facts));
	uint64_t needed = less(facts->usage_bytes, given);
	if (needed < facts->live_bytes && facts->same_name <= 1)
		needed = facts->live_bytes;
	needed = plus(needed, needed / ROOM_SHARE);
	if (needed > UINT64_MAX - ROUND_BYTES)
		return needed;
	return (needed + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
}

static bool limit_was_cut(const struct why_facts *facts)
{
	return facts->limit_before_bytes != 0 && facts->limit_bytes != WHY_NO_LIMIT &&
	       less(facts->limit_before_bytes, facts->limit_bytes) >=
		       facts->limit_before_bytes / 10;
}

static void say_limit_was_cut(const struct why_facts *facts, char *text)
{
	struct size_text before = size_text(facts->limit_before_bytes);
	struct size_text now = size_text(facts->limit_bytes);
	struct size_text need = size_text(why_needed_bytes(facts));
	snprintf(text, WHY_ADVICE_BYTES,
		"the limit was lowered from %s to %s: lower it in steps, or not below %s",
		before.text, now.text, need.text);
}

static bool has_no_preload(const struct why_facts *facts)
{
	return facts->heaps == 0;
}

static void say_no_preload(const struct why_facts *facts, char *text)
{
	(void)facts;
	snprintf(text, WHY_ADVICE_BYTES,
		"nothing in it is known to have run on libspillway: with LD_PRELOAD=libspillway.so "
		"idle "
		"memory goes back before the limit is reached");
}

static bool has_strangers(const struct why_facts *facts)
{
	return facts->heaps != 0 && is_much(facts, facts->stranger_bytes);
}

static void say_strangers(const struct why_facts *facts, char *text)
{
	struct size_text theirs = size_text(facts->stranger_bytes);
	snprintf(text, WHY_ADVICE_BYTES,
		"%s belong%s to %zu process%s without the preload%s%s: preload %s too", theirs.text,
		facts->strangers == 1 ? "s" : "", facts->strangers,
		facts->strangers == 1 ? "" : "es", facts->stranger[0] != '\0' ? ", most to " : "",
		facts->stranger, facts->strangers == 1 ? "it" : "them");
}

static bool has_shared(const struct why_facts *facts)
{
	return is_much(facts, facts->shared_bytes);
}

static void say_shared(const struct why_facts *facts, char *text)
{
	struct size_text shared = size_text(facts->shared_bytes);
	snprintf(text, WHY_ADVICE_BYTES,
		"%s are files in tmpfs, /dev/shm or shared memory, which no allocator gives back: "
		"remove them, or give that mount a size",
		shared.text);
}

static bool has_foreign(const struct why_facts *facts)
{
	return is_much(facts, facts->foreign_bytes);
}

static void say_foreign(const struct why_facts *facts, char *text)
{
	struct size_text foreign = size_text(facts->foreign_bytes);
	snprintf(text, WHY_ADVICE_BYTES,
		"%s were mapped by the program itself or by an allocator of its own (a runtime's "
		"heap, stacks, mmap): bound those by the runtime's setting",
		foreign.text);
}

static bool has_idle(const struct why_facts *facts)
{
	return facts->heaps != 0 && is_much(facts, plus(facts->idle_bytes, facts->lazy_bytes));
}

static void say_idle(const struct why_facts *facts, char *text)
{
	struct size_text idle = size_text(plus(facts->idle_bytes, facts->lazy_bytes));
	snprintf(text, WHY_ADVICE_BYTES,
		"%s in the heaps were idle and could have gone back: see that SPILLWAY_LIMIT is "
		"not "
		"off and that no filter of system calls stops the library's thread",
		idle.text);
}

/* The next write to a page that is shared since fork takes another one. */
static bool has_copies(const struct why_facts *facts)
{
	return facts->same_name > 1 && facts->limit_bytes != WHY_NO_LIMIT &&
	       plus(facts->largest_live_bytes, facts->largest_live_bytes) > facts->limit_bytes;
}

static void say_copies(const struct why_facts *facts, char *text)
{
	struct size_text live = size_text(facts->largest_live_bytes);
	snprintf(text, WHY_ADVICE_BYTES,
		"%zu processes of one name were forked from %s of live memory, and each page that "
		"one writes is copied: fork before it grows, or leave room for a second copy",
		facts->same_name, live.text);
}

static bool has_cache(const struct why_facts *facts)
{
	return is_much(facts, cache_bytes(facts));
}

static void say_cache(const struct why_facts *facts, char *text)
{
	struct size_text cache = size_text(cache_bytes(facts));
	snprintf(text, WHY_ADVICE_BYTES,
		"%s are file cache, which the kernel takes back by itself unless it is mapped, "
		"locked "
		"or not written yet: sync more often, or read past the cache",
		cache.text);
}

static bool has_slab(const struct why_facts *facts)
{
	return is_much(facts, facts->slab_bytes);
}

static void say_slab(const struct why_facts *facts, char *text)
{
	struct size_text slab = size_text(facts->slab_bytes);
	snprintf(text, WHY_ADVICE_BYTES,
		"%s are the kernel's for this cgroup (sockets, inodes, page tables): fewer open "
		"files "
		"and connections, or more room",
		slab.text);
}

static bool is_live(const struct why_facts *facts)
{
	return facts->limit_bytes != WHY_NO_LIMIT && facts->live_bytes != 0 &&
	       (facts->live_bytes >= facts->limit_bytes / 2 ||
		       why_needed_bytes(facts) > facts->limit_bytes);
}

static void say_live(const struct why_facts *facts, char *text)
{
	struct size_text live = size_text(facts->live_bytes);
	struct size_text limit = size_text(facts->limit_bytes);
	struct size_text need = size_text(why_needed_bytes(facts));
	snprintf(text, WHY_ADVICE_BYTES,
		"%s were live, which nothing gives back, of %s: raise the limit to %s, or keep "
		"less",
		live.text, limit.text, need.text);
}

static const struct rule {
	const char *name;
	bool (*applies)(const struct why_facts *facts);
	void (*say)(const struct why_facts *facts, char *text);
} rules[] = {
	{"limit_cut", limit_was_cut, say_limit_was_cut},
	{"shared_memory", has_shared, say_shared},
	{"no_preload", has_no_preload, say_no_preload},
	{"other_processes", has_strangers, say_strangers},
	{"foreign_memory", has_foreign, say_foreign},
	{"idle", has_idle, say_idle},
	{"fork_copies", has_copies, say_copies},
	{"live", is_live, say_live},
	{"file_cache", has_cache, say_cache},
	{"kernel_memory", has_slab, say_slab},
};

_Static_assert(sizeof rules / sizeof rules[0] < WHY_RULES_MAX, "room for all and one more");

size_t why_rules(const struct why_facts *facts, struct why_advice advice[WHY_RULES_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		if (!rules[i].applies(facts))
			continue;
		advice[count].rule = rules[i].name;
		rules[i].say(facts, advice[count++].text);
	}
	if (count == 0) {
		struct size_text need = size_text(why_needed_bytes(facts));
		advice[count].rule = "none";
		snprintf(advice[count++].text, WHY_ADVICE_BYTES,
			"nothing stands out: %s would have been room", need.text);
	}
	return count;
}
