/* What there is to know of the services, as text for Prometheus. */
#include "supervisor/fleet/fleet_control.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/fleet/fleet_private.h"

#define SUPERVISOR_METRIC(name, type, help) \
	"# HELP spillway_" name " " help "\n# TYPE spillway_" name " " type "\n"

/* One service as of this answer. */
struct seen {
	const char *name;
	const struct service *service;
	struct tick_counts counts;
	const struct tick_shared *shared;
};

/* One figure of every service; NAN: there is none, and no line. */
struct metric {
	const char *name;
	const char *type;
	const char *help;
	double (*value)(const struct seen *seen);
};

/* One figure of every service at every level. */
struct level_metric {
	const char *name;
	const char *type;
	const char *help;
	double (*value)(const struct seen *seen, enum level level);
};

/* Which walls a service has: its own, and those that it has in common with the others. */
enum wall_kind { WALL_OWN, WALL_SHARED, WALL_MACHINE, WALLS };

static const char *const wall_names[WALLS] = {
	[WALL_OWN] = "own", [WALL_SHARED] = "shared", [WALL_MACHINE] = "machine"};

/* One figure of every service for every wall. */
struct wall_metric {
	const char *name;
	const char *type;
	const char *help;
	double (*value)(const struct tick_wall *wall);
};

static double known(uint64_t value, double unit)
{
	return value != UINT64_MAX ? (double)value * unit : (double)NAN;
}

/* Of what is there now. */
static double living(const struct seen *seen, double value)
{
	return seen->service->lives ? value : (double)NAN;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static double up(const struct seen *seen)
{
	return seen->service->lives;
}

static double ready(const struct seen *seen)
{
	return living(seen, seen->service->ready);
}

/* Failures of its check since the last success; nothing where it has none. */
static double health_failures(const struct seen *seen)
{
	if (seen->service->config->health.kind == CONFIG_PROBE_NONE)
		return (double)NAN;
	return living(seen, seen->service->health.failures);
}

static double healthy(const struct seen *seen)
{
	double failures = health_failures(seen);
	return isnan(failures) ? failures : failures == 0;
}

static double restarts(const struct seen *seen)
{
	return (double)less(seen->service->restart.starts, 1);
}

static double oom_kills(const struct seen *seen)
{
	return (double)seen->counts.oom_kills;
}

static double used(const struct seen *seen)
{
	return seen->counts.usage_shared ? (double)NAN : (double)seen->counts.usage_bytes;
}

static double limit(const struct seen *seen)
{
	return known(seen->counts.limit_bytes, 1);
}

static double price(const struct seen *seen)
{
	return living(seen, (double)seen->counts.price_ns / 1e9);
}

static double live(const struct seen *seen)
{
	const struct heap_sample *heap = &seen->counts.heap.heap;
	return living(seen, (double)less(heap->in_use_bytes, heap->free_slot_bytes));
}

static double idle(const struct seen *seen)
{
	const struct heap_sample *heap = &seen->counts.heap.heap;
	return living(seen, (double)heap->idle_dirty_bytes + (double)heap->free_slot_bytes);
}

static double lazy(const struct seen *seen)
{
	return living(seen, (double)seen->counts.heap.heap.lazy_bytes);
}

/* Usage that no heap of ours accounts for. */
static double foreign(const struct seen *seen)
{
	const struct heap_sample *heap = &seen->counts.heap.heap;
	uint64_t ours_bytes = heap->in_use_bytes + heap->idle_dirty_bytes + heap->lazy_bytes;
	if (seen->counts.usage_shared)
		return (double)NAN;
	return living(seen, (double)less(seen->counts.usage_bytes, ours_bytes));
}

static double heaps(const struct seen *seen)
{
	return living(seen, seen->counts.heap.heap.processes);
}

static double refaulted(const struct seen *seen)
{
	return (double)seen->counts.heap.figures.refault_touched_bytes;
}

static double gate_waits(const struct seen *seen)
{
	return (double)seen->counts.heap.figures.gate_waits;
}

static double gate_timeouts(const struct seen *seen)
{
	return (double)seen->counts.heap.figures.gate_timeouts;
}

static double gate_wait_seconds(const struct seen *seen)
{
	return (double)seen->counts.heap.figures.gate_wait_ns / 1e9;
}

static double brakes(const struct seen *seen)
{
	return (double)seen->counts.brakes;
}

static double stalled_some(const struct seen *seen)
{
	const struct stall_sample *stall = &seen->counts.stall;
	return stall->known ? (double)stall->some_us / 1e6 : (double)NAN;
}

static double stalled_full(const struct seen *seen)
{
	const struct stall_sample *stall = &seen->counts.stall;
	return stall->known ? (double)stall->full_us / 1e6 : (double)NAN;
}

static const struct metric metrics[] = {
	{"up", "gauge", "Whether the service's main process runs.", up},
	{"ready", "gauge", "Whether it is ready, so that what waits for it starts.", ready},
	{"healthy", "gauge", "Whether its last health check succeeded.", healthy},
	{"health_failures", "gauge", "Health checks that failed one after another.",
		health_failures},
	{"restarts_total", "counter", "Starts after the first.", restarts},
	{"oom_kills_total", "counter", "Processes that the kernel killed for memory.", oom_kills},
	{"memory_used_bytes", "gauge",
		"Usage of the service's own cgroup, or of its processes where its limit is soft.",
		used},
	{"memory_limit_bytes", "gauge", "Limit of the service's own.", limit},
	{"idle_page_price_seconds", "gauge",
		"CPU time that keeping an idle page of 4 KiB for a second counts as.", price},
	{"heaps", "gauge", "Processes with spillway's heap.", heaps},
	{"heap_live_bytes", "gauge", "Allocated, in all heaps.", live},
	{"heap_idle_bytes", "gauge", "Free and resident, in all heaps.", idle},
	{"heap_lazy_bytes", "gauge", "Free, and the kernel's to take.", lazy},
	{"memory_foreign_bytes", "gauge", "Usage that is in no heap of spillway's.", foreign},
	{"refaulted_bytes_total", "counter", "Given back, and wanted and touched again.",
		refaulted},
	{"gate_waits_total", "counter", "Growth that waited for memory to come back.", gate_waits},
	{"gate_timeouts_total", "counter", "Of these, in vain.", gate_timeouts},
	{"gate_wait_seconds_total", "counter", "How long all of these waited.", gate_wait_seconds},
	{"brakes_total", "counter", "Times that growth was slowed down through memory.high.",
		brakes},
	{"pressure_some_seconds_total", "counter",
		"memory.pressure of its cgroup: some task was stalled.", stalled_some},
	{"pressure_full_seconds_total", "counter",
		"memory.pressure of its cgroup: all tasks were stalled.", stalled_full},
};

static double is_at(const struct seen *seen, enum level level)
{
	return seen->counts.level == level;
}

static double level_seconds(const struct seen *seen, enum level level)
{
	return (double)seen->counts.level_ms[level] / 1e3;
}

/* At calm none is asked for. */
static double releases(const struct seen *seen, enum level level)
{
	return level != LEVEL_CALM ? (double)seen->counts.releases[level] : (double)NAN;
}

static double returned(const struct seen *seen, enum level level)
{
	const struct link_figures *figures = &seen->counts.heap.figures;
	const uint64_t by_level[LEVELS] = {
		[LEVEL_CALM] = figures->released_background_bytes + figures->released_growth_bytes,
		[LEVEL_LAZY] = figures->released_lazy_bytes,
		[LEVEL_EAGER] = figures->released_eager_bytes,
		[LEVEL_FULL] = figures->released_full_bytes,
	};
	return (double)by_level[level];
}

static const struct level_metric level_metrics[] = {
	{"level", "gauge", "1 for the level that the service is at.", is_at},
	{"level_seconds_total", "counter", "How long it has been at each.", level_seconds},
	{"releases_total", "counter", "Releases that were asked for.", releases},
	{"returned_bytes_total", "counter",
		"Given back to the kernel, by the level; a page can go lazy first, and counts "
		"again.",
		returned},
};

static double headroom(const struct tick_wall *wall)
{
	return known(wall->headroom_bytes, 1);
}

static double time_to_limit(const struct tick_wall *wall)
{
	return wall->time_ms != UINT64_MAX ? (double)wall->time_ms / 1e3 : (double)INFINITY;
}

static const struct wall_metric wall_metrics[] = {
	{"memory_headroom_bytes", "gauge",
		"Room below a limit: its own, the tightest one that all share, the machine's "
		"memory.",
		headroom},
	{"memory_time_to_limit_seconds", "gauge",
		"How long that room lasts at this rate of growth.", time_to_limit},
};

static void put_number(FILE *to, double value)
{
	if (isinf(value))
		fputs(" +Inf\n", to);
	else
		fprintf(to, " %.15g\n", value);
}

static void put_head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP spillway_service_%s %s\n# TYPE spillway_service_%s %s\n", name, help,
		name, type);
}

static void put_metric(FILE *to, const struct metric *metric, const struct seen *seen, size_t count)
{
	put_head(to, metric->name, metric->type, metric->help);
	for (size_t i = 0; i < count; i++) {
		double value = metric->value(&seen[i]);
		if (isnan(value))
			continue;
		fprintf(to, "spillway_service_%s{service=\"%s\"}", metric->name, seen[i].name);
		put_number(to, value);
	}
}

static void put_level_metric(
	FILE *to, const struct level_metric *metric, const struct seen *seen, size_t count)
{
	put_head(to, metric->name, metric->type, metric->help);
	for (size_t i = 0; i < count * LEVELS; i++) {
		const struct seen *one = &seen[i / LEVELS];
		enum level level = (enum level)(i % LEVELS);
		double value = metric->value(one, level);
		if (isnan(value))
			continue;
		fprintf(to, "spillway_service_%s{service=\"%s\",level=\"%s\"}", metric->name,
			one->name, perform_level_name(level));
		put_number(to, value);
	}
}

static void put_wall_metric(
	FILE *to, const struct wall_metric *metric, const struct seen *seen, size_t count)
{
	put_head(to, metric->name, metric->type, metric->help);
	for (size_t i = 0; i < count * WALLS; i++) {
		const struct seen *one = &seen[i / WALLS];
		const struct tick_wall *const walls[WALLS] = {[WALL_OWN] = &one->counts.own,
			[WALL_SHARED] = &one->shared->cgroup,
			[WALL_MACHINE] = &one->shared->machine};
		const struct tick_wall *wall = walls[i % WALLS];
		if (!one->service->lives || wall->headroom_bytes == UINT64_MAX)
			continue;
		fprintf(to, "spillway_service_%s{service=\"%s\",wall=\"%s\"}", metric->name,
			one->name, wall_names[i % WALLS]);
		put_number(to, metric->value(wall));
	}
}

static void put_known(FILE *to, const char *head, const char *name, double value)
{
	if (isnan(value))
		return;
	fprintf(to, "%sspillway_%s", head, name);
	put_number(to, value);
}

static void put_supervisor(FILE *to, const struct tick_shared *shared)
{
	fprintf(to,
		SUPERVISOR_METRIC("info", "gauge",
			"Always 1.") "spillway_info{version=\"%s\",mode=\"%c\"} 1\n",
		SPILLWAY_VERSION, shared->mode);
	put_known(to,
		SUPERVISOR_METRIC("memory_used_bytes", "gauge",
			"Usage below the nearest limit that all services have in common."),
		"memory_used_bytes", (double)shared->usage_bytes);
	put_known(to, SUPERVISOR_METRIC("memory_limit_bytes", "gauge", "That limit."),
		"memory_limit_bytes", known(shared->limit_bytes, 1));
	put_known(to,
		SUPERVISOR_METRIC("turn_duration_seconds", "summary",
			"What a look at all services and what follows from it takes."),
		"turn_duration_seconds_sum", (double)shared->turns_ns / 1e9);
	put_known(to, "", "turn_duration_seconds_count", (double)shared->turns);
	put_known(to,
		SUPERVISOR_METRIC("turn_duration_longest_seconds", "gauge", "The longest of them."),
		"turn_duration_longest_seconds", (double)shared->turns_most_ns / 1e9);
}

static void put_services(FILE *to, const struct seen *seen, size_t count)
{
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
		put_metric(to, &metrics[i], seen, count);
	for (size_t i = 0; i < sizeof level_metrics / sizeof level_metrics[0]; i++)
		put_level_metric(to, &level_metrics[i], seen, count);
	for (size_t i = 0; i < sizeof wall_metrics / sizeof wall_metrics[0]; i++)
		put_wall_metric(to, &wall_metrics[i], seen, count);
}

char *fleet_metrics(const struct fleet *fleet)
{
	char *text = NULL;
	size_t length = 0;
	struct tick_shared shared;
	struct seen *seen = calloc(fleet->count + 1, sizeof *seen);
	FILE *to = seen != NULL ? open_memstream(&text, &length) : NULL;
	if (to == NULL) {
		free(seen);
		return NULL;
	}
	tick_shared(fleet->host.tick, &shared);
	for (size_t i = 0; i < fleet->count; i++) {
		seen[i].shared = &shared;
		seen[i].name = fleet->service[i]->config->name;
		seen[i].service = fleet->service[i];
		tick_counts(fleet->host.tick, &fleet->service[i]->memory, &seen[i].counts);
	}
	put_supervisor(to, &shared);
	put_services(to, seen, fleet->count);
	bool is_whole = ferror(to) == 0;
	if (fclose(to) != 0 || !is_whole) {
		free(text);
		text = NULL;
	}
	free(seen);
	return text;
}
