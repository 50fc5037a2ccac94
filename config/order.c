/* Puts services into the order in which they start, by what they need and by priority. */
#include "config/order.h"

#include <stdlib.h>
#include <string.h>

#include "config/errors.h"
#include "config/names.h"

/* So much of a cycle is shown. */
#define CYCLE_BYTES 256

/* Of one service, in the order of the file until it is sorted. */
struct order {
	int group_priority;
	int priority;
	size_t depth; /* of the longest chain of needs below it */
	size_t index; /* in the order of the file */
};

static int need_add(struct config_service *service, size_t needed, bool is_required)
{
	size_t count = service->need_count;

	for (size_t i = 0; i < count; i++) {
		if (service->need[i].service != needed)
			continue;
		service->need[i].is_required = service->need[i].is_required || is_required;
		return 0;
	}
	/* The room doubles whenever the count is a power of two. */
	if ((count & (count - 1)) == 0) {
		size_t room = count == 0 ? 1 : 2 * count;
		struct config_need *grown = realloc(service->need, room * sizeof *grown);
		if (grown == NULL)
			return -1;
		service->need = grown;
	}
	service->need[count] = (struct config_need){needed, is_required};
	service->need_count++;
	return 0;
}

static void note_no_service(
	struct loader *loader, size_t index, enum service_key key_index, const char *name)
{
	struct names_nearest nearest = {.wanted = name};

	for (size_t i = 0; i < loader->config->service_count; i++)
		if (i != index)
			names_offer(&nearest, loader->config->services[i].name);
	errors_note(loader->errors, loader->at.service[index].key[key_index],
		"%s: there is no service %s: %s%s%s",
		section_keys[SECTION_SERVICE].keys[key_index].name, name,
		nearest.best != NULL ? "did you mean " : "expected ",
		nearest.best != NULL ? nearest.best : "the name of another service of this file",
		nearest.best != NULL ? "?" : "");
}

/* What one name of the list stands for. */
static void name_resolve(
	struct loader *loader, size_t index, enum service_key key_index, const char *name)
{
	struct config *config = loader->config;
	unsigned place = loader->at.service[index].key[key_index];
	const char *key = section_keys[SECTION_SERVICE].keys[key_index].name;
	bool is_found = false;

	for (size_t i = 0; i < config->service_count; i++) {
		const char *program = loader->note[i].program;
		if (strcmp(config->services[i].name, name) != 0 &&
			(program == NULL || strcmp(program, name) != 0))
			continue;
		is_found = true;
		if (i == index)
			errors_note(loader->errors, place,
				"%s: %s is the service itself: expected the name of another one",
				key, name);
		else if (need_add(&config->services[index], i, key_index == KEY_REQUIRES) != 0)
			loader_out_of_memory(loader, place);
	}
	if (!is_found)
		note_no_service(loader, index, key_index, name);
}

static void names_resolve(struct loader *loader)
{
	for (size_t i = 0; i < loader->config->service_count; i++) {
		const struct config_service *service = &loader->config->services[i];
		for (char **name = service->after; name != NULL && *name != NULL; name++)
			name_resolve(loader, i, KEY_AFTER, *name);
		for (char **name = service->requires; name != NULL && *name != NULL; name++)
			name_resolve(loader, i, KEY_REQUIRES, *name);
	}
}

static bool is_higher(const struct order *a, const struct order *b)
{
	if (a->group_priority != b->group_priority)
		return a->group_priority > b->group_priority;
	return a->priority > b->priority;
}

/* Raises depth and priority to what the needs of all ask for, until nothing changes any more.
 * false: a chain is longer than there are services, so there is a cycle. */
static bool chains_measure(const struct config *config, struct order *order)
{
	for (bool changes = true; changes;) {
		changes = false;
		for (size_t i = 0; i < config->service_count; i++) {
			const struct config_service *service = &config->services[i];
			for (size_t j = 0; j < service->need_count; j++) {
				const struct order *needed = &order[service->need[j].service];
				if (order[i].depth <= needed->depth) {
					order[i].depth = needed->depth + 1;
					changes = true;
				}
				if (is_higher(needed, &order[i])) {
					order[i].group_priority = needed->group_priority;
					order[i].priority = needed->priority;
					changes = true;
				}
			}
			if (order[i].depth > config->service_count)
				return false;
		}
	}
	return true;
}

static size_t deepest_need(const struct config *config, const struct order *order, size_t index)
{
	const struct config_service *service = &config->services[index];
	size_t deepest = service->need[0].service;

	for (size_t i = 1; i < service->need_count; i++)
		if (order[service->need[i].service].depth > order[deepest].depth)
			deepest = service->need[i].service;
	return deepest;
}

/* From a chain that is longer than there are services the deepest needs lead into a cycle. */
static void note_cycle(struct loader *loader, const struct order *order)
{
	const struct config *config = loader->config;
	char text[CYCLE_BYTES];
	size_t at = 0;
	size_t first;
	size_t length;

	while (order[at].depth <= config->service_count)
		at++;
	for (size_t i = 0; i < config->service_count; i++)
		at = deepest_need(config, order, at);
	/* It is told from the service that stands first in the file. */
	first = at;
	for (size_t i = deepest_need(config, order, at); i != at;
		i = deepest_need(config, order, i))
		if (i < first)
			first = i;
	length = (size_t)snprintf(text, sizeof text, "%s", config->services[first].name);
	at = first;
	do {
		at = deepest_need(config, order, at);
		if (length < sizeof text)
			length += (size_t)snprintf(text + length, sizeof text - length, " -> %s",
				config->services[at].name);
	} while (at != first);
	const unsigned *lines = loader->at.service[first].key;
	errors_note(loader->errors, lines[lines[KEY_AFTER] != 0 ? KEY_AFTER : KEY_REQUIRES],
		"%s: expected needs without a cycle", text);
}

static int order_compare(const void *a, const void *b)
{
	const struct order *left = a;
	const struct order *right = b;

	if (is_higher(left, right) || is_higher(right, left))
		return is_higher(left, right) ? 1 : -1;
	if (left->depth != right->depth)
		return left->depth < right->depth ? -1 : 1;
	return left->index < right->index ? -1 : left->index > right->index;
}

/* order is sorted; before is what services[] was, and place where each of these has gone. */
static void order_apply(struct config *config, const struct order *order,
	const struct config_service *before, size_t *place)
{
	int turn = 0;

	for (size_t i = 0; i < config->service_count; i++)
		place[order[i].index] = i;
	for (size_t i = 0; i < config->service_count; i++) {
		struct config_service *service = &config->services[i];
		*service = before[order[i].index];
		for (size_t j = 0; j < service->need_count; j++)
			service->need[j].service = place[service->need[j].service];
		if (i > 0 && (service->is_program || config->services[i - 1].is_program ||
				     is_higher(&order[i], &order[i - 1])))
			turn++;
		service->turn = turn;
	}
}

static void starts_inherit(struct config *config)
{
	for (size_t i = config->service_count; i-- > 0;) {
		const struct config_service *service = &config->services[i];
		for (size_t j = 0; service->autostart && j < service->need_count; j++)
			if (service->need[j].is_required)
				config->services[service->need[j].service].autostart = true;
	}
}

void order_services(struct loader *loader)
{
	struct config *config = loader->config;
	size_t count = config->service_count;
	struct order *order = malloc((count + 1) * sizeof *order);
	struct config_service *before = malloc((count + 1) * sizeof *before);
	size_t *place = malloc((count + 1) * sizeof *place);

	if (order == NULL || before == NULL || place == NULL) {
		loader_out_of_memory(loader, 0);
		goto out;
	}
	names_resolve(loader);
	for (size_t i = 0; i < count; i++) {
		before[i] = config->services[i];
		order[i] = (struct order){.group_priority = loader->note[i].group_priority,
			.priority = before[i].priority,
			.index = i};
	}
	if (!chains_measure(config, order))
		note_cycle(loader, order);
	if (loader->errors->count != 0)
		goto out;
	qsort(order, count, sizeof *order, order_compare);
	order_apply(config, order, before, place);
	starts_inherit(config);
out:
	free(order);
	free(before);
	free(place);
}
