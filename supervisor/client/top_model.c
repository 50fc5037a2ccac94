/* What spillctl top knows of the services. */
#include "supervisor/client/top_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/base/size.h"

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(object, key));
	return number > 0 ? (uint64_t)number : 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL ? text : "?";
}

/* Where the service has no usage of its own, its heaps stand in for it. */
static struct top_bar bar_of(const json_t *service)
{
	struct top_bar bar = {
		.live_bytes = number_of(service, "live_bytes"),
		.idle_bytes = number_of(service, "idle_bytes"),
		.lazy_bytes = number_of(service, "lazy_bytes"),
	};
	uint64_t heaps_bytes = bar.live_bytes + bar.idle_bytes + bar.lazy_bytes;
	uint64_t used_bytes = number_of(service, "used_bytes");
	bar.other_bytes = used_bytes > heaps_bytes ? used_bytes - heaps_bytes : 0;
	bar.end_bytes = number_of(service, "limit_bytes");
	bar.is_limit = bar.end_bytes != 0;
	return bar;
}

static uint64_t sum_of(const struct top_bar *bar)
{
	return bar->live_bytes + bar->idle_bytes + bar->lazy_bytes + bar->other_bytes;
}

static const struct top_service *find(const struct top *top, const char *name)
{
	for (size_t i = 0; i < top->count; i++)
		if (strcmp(top->service[i].name, name) == 0)
			return &top->service[i];
	return NULL;
}

static void remember(struct top_service *service, const struct top_service *before)
{
	if (before != NULL) {
		memcpy(service->used, before->used, sizeof service->used);
		service->used_count = before->used_count;
	}
	if (service->used_count == TOP_HISTORY) {
		memmove(service->used, service->used + 1,
			(TOP_HISTORY - 1) * sizeof service->used[0]);
		service->used_count--;
	}
	service->used[service->used_count++] = sum_of(&service->bar);
}

static void take_service(
	struct top_service *service, json_t *status, const struct top_service *before)
{
	snprintf(service->name, sizeof service->name, "%s", text_of(status, "name"));
	snprintf(service->state, sizeof service->state, "%s", text_of(status, "state"));
	snprintf(service->level, sizeof service->level, "%s", text_of(status, "level"));
	service->lives = json_object_get(status, "pid") != NULL;
	service->released_bytes = number_of(status, "released_bytes");
	service->restarts = number_of(status, "restarts");
	service->bar = bar_of(status);
	service->status = json_incref(status);
	remember(service, before);
}

/* Without a limit of its own the shared one is what it may have, and where there is none the bars
 * are to be compared. */
static void set_ends(struct top_service *service, size_t count, const struct top_bar *shared)
{
	uint64_t most_bytes = 1;
	for (size_t i = 0; i < count; i++)
		if (sum_of(&service[i].bar) > most_bytes)
			most_bytes = sum_of(&service[i].bar);
	for (size_t i = 0; i < count; i++) {
		struct top_bar *bar = &service[i].bar;
		if (!bar->is_limit)
			bar->end_bytes = shared->is_limit ? shared->end_bytes : most_bytes;
		if (bar->end_bytes < sum_of(bar))
			bar->end_bytes = sum_of(bar);
	}
}

static void take_shared(struct top *top, const json_t *supervisor)
{
	struct top_bar shared = {.end_bytes = number_of(supervisor, "limit_bytes")};
	uint64_t used_bytes = number_of(supervisor, "used_bytes");
	for (size_t i = 0; i < top->count; i++) {
		shared.live_bytes += top->service[i].bar.live_bytes;
		shared.idle_bytes += top->service[i].bar.idle_bytes;
		shared.lazy_bytes += top->service[i].bar.lazy_bytes;
	}
	shared.is_limit = shared.end_bytes != 0;
	shared.other_bytes = used_bytes > sum_of(&shared) ? used_bytes - sum_of(&shared) : 0;
	if (shared.end_bytes < sum_of(&shared))
		shared.end_bytes = sum_of(&shared);
	if (shared.end_bytes == 0)
		shared.end_bytes = 1;
	top->shared = shared;
	snprintf(top->head, sizeof top->head, "spillway %s  pid %llu  mode %s  %s",
		text_of(supervisor, "version"), (unsigned long long)number_of(supervisor, "pid"),
		text_of(supervisor, "mode"), text_of(supervisor, "file"));
}

static void free_services(struct top_service *service, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_decref(service[i].status);
	free(service);
}

/* Where the one that was chosen is now; what is there in its place where it is gone. */
static size_t index_of(const struct top *top, const char *name, size_t otherwise)
{
	for (size_t i = 0; i < top->count; i++)
		if (strcmp(top->service[i].name, name) == 0)
			return i;
	if (top->count == 0)
		return 0;
	return otherwise < top->count ? otherwise : top->count - 1;
}

bool top_take(struct top *top, const json_t *status)
{
	char chosen[TOP_NAME_BYTES] = "";
	json_t *services = json_object_get(status, "services");
	json_t *service;
	size_t index;
	if (!json_is_array(services))
		return false;
	size_t count = json_array_size(services);
	struct top_service *made = calloc(count + 1, sizeof *made);
	if (made == NULL)
		return false;
	json_array_foreach(services, index, service)
		take_service(&made[index], service, find(top, text_of(service, "name")));
	if (top->chosen < top->count)
		snprintf(chosen, sizeof chosen, "%s", top->service[top->chosen].name);
	free_services(top->service, top->count);
	top->service = made;
	top->count = count;
	top->chosen = index_of(top, chosen, top->chosen);
	take_shared(top, json_object_get(status, "supervisor"));
	set_ends(made, count, &top->shared);
	return true;
}

void top_add_line(struct top *top, const json_t *event)
{
	char when[16];
	char text[512];
	time_t seconds = (time_t)json_integer_value(json_object_get(event, "time_s"));
	struct tm parts;
	localtime_r(&seconds, &parts);
	strftime(when, sizeof when, "%T", &parts);
	snprintf(text, sizeof text, "%s %s", when, text_of(event, "text"));
	char *line = strdup(text);
	if (line == NULL)
		return;
	if (top->line_count == TOP_LINES) {
		free(top->line[0]);
		memmove(top->line, top->line + 1, (TOP_LINES - 1) * sizeof top->line[0]);
		top->line_count--;
	}
	top->line[top->line_count++] = line;
}

void top_choose(struct top *top, int by)
{
	if (by < 0 && top->chosen < (size_t)-by)
		top->chosen = 0;
	else
		top->chosen += (size_t)by;
	if (top->chosen >= top->count)
		top->chosen = top->count > 0 ? top->count - 1 : 0;
}

const struct top_service *top_chosen(const struct top *top)
{
	return top->chosen < top->count ? &top->service[top->chosen] : NULL;
}

/* So many of what is left, at least one of what is not nothing. */
static size_t cells_of(uint64_t bytes, const struct top_bar *bar, size_t cells, size_t left)
{
	double exact = (double)bytes / (double)bar->end_bytes * (double)cells;
	size_t count = (size_t)(exact + 0.5);
	if (bytes > 0 && count == 0)
		count = 1;
	return count < left ? count : left;
}

struct top_cells top_cells(const struct top_bar *bar, size_t cells)
{
	struct top_cells parts = {0};
	size_t left = cells;
	parts.live = cells_of(bar->live_bytes, bar, cells, left);
	left -= parts.live;
	parts.idle = cells_of(bar->idle_bytes, bar, cells, left);
	left -= parts.idle;
	parts.lazy = cells_of(bar->lazy_bytes, bar, cells, left);
	left -= parts.lazy;
	parts.other = cells_of(bar->other_bytes, bar, cells, left);
	return parts;
}

size_t top_trend(const struct top_service *service, unsigned char *steps, size_t count)
{
	size_t first = service->used_count > count ? service->used_count - count : 0;
	uint64_t most_bytes = 1;
	for (size_t i = first; i < service->used_count; i++)
		if (service->used[i] > most_bytes)
			most_bytes = service->used[i];
	for (size_t i = first; i < service->used_count; i++)
		steps[i - first] =
			(unsigned char)((double)service->used[i] * 7 / (double)most_bytes);
	return service->used_count - first;
}

void top_free(struct top *top)
{
	free_services(top->service, top->count);
	for (size_t i = 0; i < top->line_count; i++)
		free(top->line[i]);
	*top = (struct top){0};
}
