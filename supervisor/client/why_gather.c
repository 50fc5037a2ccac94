/* Puts together what the kernel, the cgroup and the processes' pages know of a kill. */
#include "supervisor/client/why_gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/client/preloaded.h"
#include "supervisor/client/why_cgroup.h"
#include "supervisor/client/why_kernel.h"

#define DEAD_MAX 256
#define LIVE_MAX 4096
/* Processes that died together are at most so far apart. */
#define TOGETHER_MS 10000U
/* A page that was written so long before a kill is not that process's last word on it. */
#define SAME_KILL_MS 600000U
/* Usage that is near: this part of the limit, in hundredths. */
#define NEAR_PERCENT 85U

struct gather {
	const char *path;
	const char *text;
	struct why_facts *facts;
	bool has_kill;
	struct why_kill kill;
	uint64_t heap_bytes;     /* of all heaps, resident */
	uint64_t resident_bytes; /* anonymous, of the preloaded processes that live */
	uint64_t hits;
	uint64_t newest_ms;
	char largest[SHARE_COMMAND_BYTES + 1];
	struct share_figures *dead;
	size_t dead_count;
	int *live;
	size_t live_count;
	char (*names)[SHARE_COMMAND_BYTES + 1];
	size_t name_count;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool belongs(const char *path, void *with)
{
	const struct gather *gather = with;
	if (path[0] == '\0')
		return false;
	return gather->path[0] != '\0' ? why_cgroup_is_below(path, gather->path)
				       : strstr(path, gather->text) != NULL;
}

static uint64_t anon_of(int pid, char name[WHY_NAME_BYTES])
{
	char path[64];
	char line[256];
	unsigned long long kib = 0;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, "Name:\t", 6) == 0)
			snprintf(name, WHY_NAME_BYTES, "%.*s", (int)strcspn(line + 6, "\n"),
				line + 6);
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtoull(line + 8, NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return (uint64_t)kib * 1024;
}

/* Sums that strangers' numbers cannot overflow. */
static void add(uint64_t *to, uint64_t value)
{
	if (__builtin_add_overflow(*to, value, to))
		*to = UINT64_MAX;
}

static void note_name(struct gather *gather, const char *name)
{
	if (gather->name_count < LIVE_MAX)
		snprintf(gather->names[gather->name_count++], SHARE_COMMAND_BYTES + 1, "%s", name);
}

/* A lower limit than before shows in the samples of any process. */
static void note_limits(struct gather *gather, const struct share_figures *figures)
{
	uint64_t highest = 0;
	for (size_t i = 0; i < figures->sample_count; i++) {
		uint64_t limit = figures->sample[i].limit_bytes;
		if (limit != UINT64_MAX && limit > highest)
			highest = limit;
	}
	if (highest > gather->facts->limit_before_bytes)
		gather->facts->limit_before_bytes = highest;
}

static void add_heap(struct gather *gather, const struct share_figures *figures)
{
	struct why_facts *facts = gather->facts;
	uint64_t live = share_live_bytes(figures);
	facts->heaps++;
	add(&facts->live_bytes, live);
	add(&facts->idle_bytes, share_idle_bytes(figures));
	add(&facts->lazy_bytes, figures->lazy_bytes);
	add(&gather->heap_bytes, figures->in_use_bytes);
	add(&gather->heap_bytes, figures->idle_dirty_bytes);
	add(&gather->heap_bytes, figures->lazy_bytes);
	add(&gather->heap_bytes, figures->metadata_bytes);
	if (figures->updated_ms > gather->newest_ms)
		gather->newest_ms = figures->updated_ms;
	if (live >= facts->largest_live_bytes) {
		facts->largest_live_bytes = live;
		memcpy(gather->largest, figures->command, sizeof gather->largest);
	}
	note_name(gather, figures->command);
	note_limits(gather, figures);
}

static void see_live(const struct preloaded *process, void *with)
{
	struct gather *gather = with;
	char name[WHY_NAME_BYTES];
	if (!belongs(process->cgroup, gather) || gather->live_count == LIVE_MAX)
		return;
	gather->live[gather->live_count++] = process->pid;
	add(&gather->resident_bytes, anon_of(process->pid, name));
	if (process->has_figures)
		add_heap(gather, &process->figures);
}

/* In a cgroup namespace the process saw "/", and what lives beside it says where that is. */
static void see_dead(const struct preloaded_dead *dead, void *with)
{
	struct gather *gather = with;
	char beside[SHARE_CGROUP_BYTES] = "";
	if (dead->beside != 0)
		preloaded_cgroup(dead->beside, beside);
	if (!belongs(dead->figures.cgroup, gather) &&
		!(dead->beside != 0 && belongs(beside, gather)))
		return;
	if (gather->dead_count < DEAD_MAX)
		gather->dead[gather->dead_count++] = dead->figures;
}

static bool is_victim(const struct gather *gather, const struct share_figures *figures)
{
	return gather->has_kill &&
	       (figures->pid == gather->kill.pid ||
		       strncmp(figures->command, gather->kill.task, SHARE_COMMAND_BYTES - 1) == 0);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The page of the one that the kernel named, or else the newest. */
static const struct share_figures *choose_dead(const struct gather *gather)
{
	const struct share_figures *best = NULL;
	for (size_t i = 0; i < gather->dead_count; i++) {
		const struct share_figures *figures = &gather->dead[i];
		if (gather->has_kill &&
			(!is_victim(gather, figures) ||
				distance(figures->updated_ms, gather->facts->at_ms) > SAME_KILL_MS))
			continue;
		if (gather->has_kill && figures->pid == gather->kill.pid)
			return figures;
		if (best == NULL || figures->updated_ms > best->updated_ms)
			best = figures;
	}
	return best;
}

/* Where the kernel's log does not say how it was: by the last sample. */
static void take_last_sample(struct why_facts *facts, const struct share_figures *figures)
{
	if (figures->sample_count == 0)
		return;
	const struct share_moment *last = &figures->sample[figures->sample_count - 1];
	if (last->usage_bytes == 0)
		return;
	facts->usage_bytes = last->usage_bytes;
	facts->limit_bytes = last->limit_bytes;
	facts->file_bytes = last->cache_bytes;
	facts->has_stat = false;
}

static bool is_near(uint64_t usage_bytes, uint64_t limit_bytes)
{
	return limit_bytes != WHY_NO_LIMIT && usage_bytes >= limit_bytes / 100 * NEAR_PERCENT;
}

/* Others that the kill took along, as all of a container whose first process goes.  One that had
 * ended before left memory to the others: what does not fit into the usage was not there. */
static bool died_together(const struct gather *gather, const struct share_figures *first,
	const struct share_figures *other)
{
	uint64_t sum;
	return other != first && distance(other->updated_ms, first->updated_ms) <= TOGETHER_MS &&
	       !__builtin_add_overflow(gather->heap_bytes, other->in_use_bytes, &sum) &&
	       sum <= gather->facts->usage_bytes;
}

static void add_dead(struct gather *gather)
{
	struct why_facts *facts = gather->facts;
	const struct share_figures *first = choose_dead(gather);
	if (first == NULL)
		return;
	if (!gather->has_kill)
		take_last_sample(facts, first);
	add_heap(gather, first);
	for (size_t i = 0; i < gather->dead_count; i++)
		if (died_together(gather, first, &gather->dead[i]))
			add_heap(gather, &gather->dead[i]);
	if (!gather->has_kill) {
		facts->at_ms = first->updated_ms;
		facts->victim_pid = first->pid;
		snprintf(facts->victim, sizeof facts->victim, "%s", first->command);
	}
}

static void take_kill(struct gather *gather)
{
	struct why_facts *facts = gather->facts;
	const struct why_kill *kill = &gather->kill;
	uint64_t up_ms = clock_ms(CLOCK_MONOTONIC);
	uint64_t ago_ms = up_ms > kill->at_us / 1000 ? up_ms - kill->at_us / 1000 : 0;
	facts->at_ms = clock_ms(CLOCK_REALTIME) - ago_ms;
	facts->victim_pid = kill->pid;
	snprintf(facts->victim, sizeof facts->victim, "%s", kill->task);
	snprintf(facts->cgroup, sizeof facts->cgroup, "%s",
		kill->oom_memcg[0] != '\0' ? kill->oom_memcg : "the machine");
	if (kill->limit_bytes != 0) {
		facts->limit_bytes = kill->limit_bytes;
		facts->usage_bytes = kill->usage_bytes;
	}
	if (kill->has_stat) {
		facts->has_stat = true;
		facts->anon_bytes = kill->anon_bytes;
		facts->file_bytes = kill->file_bytes;
		facts->shared_bytes = kill->shared_bytes;
		facts->slab_bytes = kill->slab_bytes;
	}
	if (facts->kills == 0)
		facts->kills = 1;
}

static void see_process(int pid, void *with)
{
	struct gather *gather = with;
	struct why_facts *facts = gather->facts;
	char name[WHY_NAME_BYTES] = "";
	uint64_t largest = 0;
	for (size_t i = 0; i < gather->live_count; i++)
		if (gather->live[i] == pid)
			return;
	uint64_t bytes = anon_of(pid, name);
	if (bytes == 0)
		return;
	facts->strangers++;
	add(&facts->stranger_bytes, bytes);
	if (bytes > largest && bytes >= facts->stranger_bytes / 2)
		snprintf(facts->stranger, sizeof facts->stranger, "%s", name);
}

/* What of the anonymous memory is no heap's: that of the victim without a page is a stranger's. */
static void split_anon(struct gather *gather, bool has_page)
{
	struct why_facts *facts = gather->facts;
	uint64_t anon =
		gather->has_kill && facts->has_stat ? facts->anon_bytes : gather->resident_bytes;
	uint64_t heaps = gather->heap_bytes + facts->stranger_bytes;
	uint64_t rest = anon > heaps ? anon - heaps : 0;
	if (gather->has_kill && !has_page && facts->heaps != 0) {
		facts->strangers++;
		add(&facts->stranger_bytes, rest);
		snprintf(facts->stranger, sizeof facts->stranger, "%s", facts->victim);
	} else if (facts->heaps != 0) {
		facts->foreign_bytes = rest;
	}
}

static void conclude(struct gather *gather)
{
	struct why_facts *facts = gather->facts;
	for (size_t i = 0; i < gather->name_count; i++)
		facts->same_name += strcmp(gather->names[i], gather->largest) == 0;
	if (facts->at_ms == 0)
		facts->at_ms = clock_ms(CLOCK_REALTIME);
	if (gather->newest_ms != 0 && facts->at_ms > gather->newest_ms)
		facts->heap_age_ms = facts->at_ms - gather->newest_ms;
	if (facts->limit_before_bytes <= facts->limit_bytes)
		facts->limit_before_bytes = 0;
	if (gather->has_kill || facts->kills > 0)
		facts->end = WHY_KILLED;
	else if (gather->hits > 0 || is_near(facts->usage_bytes, facts->limit_bytes))
		facts->end = WHY_NEAR;
}

void why_gather(const char *path, const char *text, struct why_facts *facts, int *log_error)
{
	struct gather gather = {.path = path, .text = text, .facts = facts};
	*facts = (struct why_facts){.limit_bytes = WHY_NO_LIMIT};
	snprintf(facts->cgroup, sizeof facts->cgroup, "%s", path);
	gather.dead = calloc(DEAD_MAX, sizeof *gather.dead);
	gather.live = calloc(LIVE_MAX, sizeof *gather.live);
	gather.names = calloc(LIVE_MAX, sizeof *gather.names);
	if (gather.dead == NULL || gather.live == NULL || gather.names == NULL) {
		*log_error = -ENOMEM;
		goto out;
	}
	*log_error = why_kernel_find(&gather.kill, belongs, &gather);
	gather.has_kill = *log_error == 0;
	/* All below the limit that was met have their part in it, and nobody else. */
	if (gather.has_kill && gather.kill.oom_memcg[0] != '\0')
		gather.path = gather.kill.oom_memcg;
	if (gather.path[0] != '\0')
		why_cgroup_read(gather.path, facts, &gather.hits);
	if (gather.has_kill)
		take_kill(&gather);
	preloaded_each(see_live, &gather);
	preloaded_each_dead(see_dead, &gather);
	bool has_page = choose_dead(&gather) != NULL;
	if (gather.has_kill || facts->kills > 0 || facts->heaps == 0)
		add_dead(&gather);
	if (gather.path[0] != '\0')
		why_cgroup_each(gather.path, see_process, &gather);
	split_anon(&gather, has_page);
	conclude(&gather);
out:
	free(gather.dead);
	free(gather.live);
	free(gather.names);
}
