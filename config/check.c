/* What must hold between the settings of one file. */
#include "config/check.h"

#include "config/units.h"

#define WINDOW_LEAST_MS 500
#define WINDOW_MOST_MS 10000

/* One side of a comparison, as it is named to the reader. */
struct side {
	const char *name;
	unsigned line;
	char value[UNITS_TEXT_BYTES];
};

static void note_order(struct config_errors *errors, const struct side *a, const char *relation,
	const struct side *b, const char *expected)
{
	errors_note(errors, a->line > b->line ? a->line : b->line,
		"%s (%s%s) is %s %s (%s%s): expected %s", a->name, a->value,
		a->line == 0 ? ", the default" : "", relation, b->name, b->value,
		b->line == 0 ? ", the default" : "", expected);
}

static struct side policy_side(
	const struct config_policy *policy, const struct section_lines *lines, int key)
{
	struct side side = {section_keys[SECTION_POLICY].keys[key].name, lines->key[key], ""};
	const void *field = (const char *)policy + section_keys[SECTION_POLICY].keys[key].offset;

	if (key >= KEY_LAZY_PRESSURE && key <= KEY_FULL_PRESSURE)
		units_format_psi(*(const struct config_psi *)field, side.value, sizeof side.value);
	else if (key >= KEY_LAZY_TIME_TO_WALL && key <= KEY_FULL_TIME_TO_WALL)
		units_format_duration(*(const uint32_t *)field, side.value, sizeof side.value);
	else
		units_format_amount(
			*(const struct config_amount *)field, side.value, sizeof side.value);
	return side;
}

/* Both on, of one unit, and a the smaller one. */
static bool amount_below(struct config_amount a, struct config_amount b)
{
	if (a.permille != 0 && b.permille != 0)
		return a.permille < b.permille;
	if (a.permille != 0 || b.permille != 0)
		return false;
	return a.bytes != 0 && b.bytes != 0 && a.bytes < b.bytes;
}

/*
 * Whether a is reached only when b is too, b being the easier one.  A share
 * kept up over a window is also met in some shorter one, and a stall time within
 * a window also fits into a longer one.
 */
static bool psi_harder(struct config_psi a, struct config_psi b)
{
	uint64_t a_stall = (uint64_t)a.permille * a.window_ms;
	uint64_t b_stall = (uint64_t)b.permille * b.window_ms;

	if (a.permille == 0 || b.permille == 0 || a.kind != b.kind)
		return false;
	if (a.permille == b.permille && a.window_ms == b.window_ms)
		return false;
	return a.window_ms >= b.window_ms ? a.permille >= b.permille : a_stall >= b_stall;
}

/* Whether the threshold behind the lower level's key is reached later than the one
 * behind the higher level's. */
static bool out_of_order(const struct config_policy *policy, int first_key, int low, int high)
{
	const struct config_threshold *a = &policy->at[LEVEL_LAZY + low];
	const struct config_threshold *b = &policy->at[LEVEL_LAZY + high];

	if (first_key == KEY_LAZY_HEADROOM)
		return amount_below(a->headroom, b->headroom);
	if (first_key == KEY_LAZY_TIME_TO_WALL)
		return a->time_to_wall_ms != 0 && b->time_to_wall_ms != 0 &&
		       a->time_to_wall_ms < b->time_to_wall_ms;
	return psi_harder(a->pressure, b->pressure);
}

static void check_levels(const struct config_policy *policy, const struct section_lines *lines,
	int first_key, struct config_errors *errors)
{
	static const int pairs[][2] = {{0, 1}, {1, 2}, {0, 2}};
	bool pressure = first_key == KEY_LAZY_PRESSURE;
	size_t before = errors->count;

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		int low = pairs[i][0];
		int high = pairs[i][1];
		/* The outer two matter where the middle one is off or of another unit. */
		if ((i == 2 && errors->count != before) ||
			!out_of_order(policy, first_key, low, high))
			continue;
		struct side a = policy_side(policy, lines, first_key + low);
		struct side b = policy_side(policy, lines, first_key + high);
		note_order(errors, &a, pressure ? "reached later than" : "below", &b,
			pressure ? "lazy <= eager <= full" : "lazy >= eager >= full");
	}
}

static void check_policy(const struct config_policy *policy, const struct section_lines *lines,
	struct config_errors *errors)
{
	const struct side eager = policy_side(policy, lines, KEY_EAGER_HEADROOM);

	check_levels(policy, lines, KEY_LAZY_HEADROOM, errors);
	check_levels(policy, lines, KEY_LAZY_TIME_TO_WALL, errors);
	check_levels(policy, lines, KEY_LAZY_PRESSURE, errors);
	for (int key = KEY_LAZY_PRESSURE; key <= KEY_FULL_PRESSURE; key++) {
		const struct config_psi *psi =
			&policy->at[LEVEL_LAZY + key - KEY_LAZY_PRESSURE].pressure;
		struct side side = policy_side(policy, lines, key);
		if (psi->permille != 0 &&
			(psi->window_ms < WINDOW_LEAST_MS || psi->window_ms > WINDOW_MOST_MS))
			errors_note(errors, side.line,
				"%s (%s): the window is out of range: expected 500ms to 10s",
				side.name, side.value);
	}
	if (amount_below(policy->at[LEVEL_EAGER].headroom, policy->reserve)) {
		struct side side = policy_side(policy, lines, KEY_RESERVE);
		note_order(errors, &side, "above", &eager, "reserve <= eager_headroom");
	}
	if (amount_below(policy->at[LEVEL_EAGER].headroom, policy->brake)) {
		struct side side = policy_side(policy, lines, KEY_BRAKE);
		note_order(errors, &side, "above", &eager, "brake <= eager_headroom");
	}
	if ((policy->brake.bytes != 0 || policy->brake.permille != 0) && policy->brake_hold_ms == 0)
		errors_note(errors, lines->key[KEY_BRAKE_HOLD],
			"brake_hold: 0 ends every brake at once: expected a duration such as 3s, "
			"or brake = off");
}

static void check_below_max(const struct config_service *service, const struct section_lines *lines,
	enum service_key key, struct config_amount amount, struct config_errors *errors)
{
	struct side side = {section_keys[SECTION_SERVICE].keys[key].name, lines->key[key], ""};
	struct side max = {"memory_max", lines->key[KEY_MEMORY_MAX], ""};
	char order[64];

	if (!amount_below(service->memory_max, amount))
		return;
	units_format_amount(amount, side.value, sizeof side.value);
	units_format_amount(service->memory_max, max.value, sizeof max.value);
	snprintf(order, sizeof order, "%s <= memory_max", side.name);
	note_order(errors, &side, "above", &max, order);
}

static void check_service(const struct config_service *service, const struct section_lines *lines,
	struct config_errors *errors)
{
	check_below_max(service, lines, KEY_MEMORY_HIGH, service->memory_high, errors);
	check_below_max(service, lines, KEY_MEMORY_MIN, service->memory_min, errors);
	check_below_max(service, lines, KEY_MEMORY_LOW, service->memory_low, errors);
	if (service->is_oneshot && service->notify.kind != CONFIG_PROBE_NONE)
		errors_note(errors, lines->key[KEY_NOTIFY],
			"notify: a oneshot service is up once it has ended: expected none");
	if (service->is_oneshot && service->health.kind != CONFIG_PROBE_NONE)
		errors_note(errors, lines->key[KEY_HEALTH],
			"health: a oneshot service does not stay: expected none");
	if (service->is_oneshot && service->pidfile != NULL)
		errors_note(errors, lines->key[KEY_PIDFILE],
			"pidfile: a oneshot service does not stay: expected none");
	if (service->watchdog_ms != 0 && service->notify.kind != CONFIG_PROBE_SYSTEMD)
		errors_note(errors, lines->key[KEY_WATCHDOG],
			"watchdog: only systemd's protocol has it: expected notify = systemd");
}

void check_config(
	const struct config *config, const struct config_lines *lines, struct config_errors *errors)
{
	for (size_t i = 0; i < config->policy_count; i++)
		if (!lines->policy[i].broken)
			check_policy(&config->policies[i], &lines->policy[i], errors);
	for (size_t i = 0; i < config->service_count; i++)
		if (!lines->service[i].broken)
			check_service(&config->services[i], &lines->service[i], errors);
}
