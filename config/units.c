/* Reads and prints sizes, shares, times, signals and pressure thresholds. */
#include "config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* whole.fraction, the fraction in units of 1/scale. */
struct number {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
	bool overflow;
};

struct unit {
	const char *name;
	uint64_t factor;
};

#define FRACTION_DIGITS_MAX 6
#define CPUS_MOST 1000000

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"K", UINT64_C(1) << 10},
	{"KB", UINT64_C(1) << 10},
	{"KiB", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"MB", UINT64_C(1) << 20},
	{"MiB", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{"GB", UINT64_C(1) << 30},
	{"GiB", UINT64_C(1) << 30},
	{"T", UINT64_C(1) << 40},
	{"TB", UINT64_C(1) << 40},
	{"TiB", UINT64_C(1) << 40},
	{NULL, 0},
};

static const struct unit duration_units[] = {
	{"", 1000},
	{"ms", 1},
	{"s", 1000},
	{"m", UINT64_C(60) * 1000},
	{"h", UINT64_C(3600) * 1000},
	{NULL, 0},
};

static const struct unit share_units[] = {
	{"%", 10},
	{NULL, 0},
};

static const struct unit cpu_units[] = {
	{"", 1000},
	{"%", 10},
	{NULL, 0},
};

static const char *const signal_names[] = {
	[SIGHUP] = "HUP",
	[SIGINT] = "INT",
	[SIGQUIT] = "QUIT",
	[SIGILL] = "ILL",
	[SIGTRAP] = "TRAP",
	[SIGABRT] = "ABRT",
	[SIGBUS] = "BUS",
	[SIGFPE] = "FPE",
	[SIGKILL] = "KILL",
	[SIGUSR1] = "USR1",
	[SIGSEGV] = "SEGV",
	[SIGUSR2] = "USR2",
	[SIGPIPE] = "PIPE",
	[SIGALRM] = "ALRM",
	[SIGTERM] = "TERM",
	[SIGSTKFLT] = "STKFLT",
	[SIGCHLD] = "CHLD",
	[SIGCONT] = "CONT",
	[SIGSTOP] = "STOP",
	[SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN",
	[SIGTTOU] = "TTOU",
	[SIGURG] = "URG",
	[SIGXCPU] = "XCPU",
	[SIGXFSZ] = "XFSZ",
	[SIGVTALRM] = "VTALRM",
	[SIGPROF] = "PROF",
	[SIGWINCH] = "WINCH",
	[SIGIO] = "IO",
	[SIGPWR] = "PWR",
	[SIGSYS] = "SYS",
};

#define SIGNAL_NAMES (sizeof signal_names / sizeof signal_names[0])

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits, and a fraction where there is one; *end is where the unit starts. */
static int number_parse(const char *text, struct number *number, const char **end)
{
	struct number n = {.scale = 1};
	const char *at = text;
	unsigned digits = 0;

	if (!is_digit(*at))
		return -EINVAL;
	for (; is_digit(*at); at++) {
		uint64_t digit = (uint64_t)(*at - '0');
		if (__builtin_mul_overflow(n.whole, 10, &n.whole) ||
			__builtin_add_overflow(n.whole, digit, &n.whole))
			n.overflow = true;
	}
	if (*at == '.') {
		at++;
		for (; is_digit(*at); at++, digits++) {
			if (digits == FRACTION_DIGITS_MAX)
				return -EINVAL;
			n.fraction = n.fraction * 10 + (uint64_t)(*at - '0');
			n.scale *= 10;
		}
		if (digits == 0)
			return -EINVAL;
	}
	*number = n;
	*end = at;
	return 0;
}

/* A set of units, how their names compare, and whether a fraction of the result is refused. */
struct measure {
	const struct unit *units;
	int (*compare)(const char *a, const char *b);
	bool exact;
};

static const struct measure size_measure = {size_units, strcasecmp, false};
static const struct measure share_measure = {share_units, strcmp, true};
static const struct measure cpu_measure = {cpu_units, strcmp, true};
static const struct measure duration_measure = {duration_units, strcmp, true};

static int measure_parse(
	const struct measure *measure, const char *text, uint64_t most, uint64_t *value)
{
	const struct unit *unit = measure->units;
	struct number number;
	const char *end;
	uint64_t sum;
	uint64_t part;

	if (number_parse(text, &number, &end) != 0)
		return -EINVAL;
	while (unit->name != NULL && measure->compare(unit->name, end) != 0)
		unit++;
	if (unit->name == NULL)
		return -EINVAL;
	/* Fractions are below 10^6 and factors at most 2^40: this cannot overflow. */
	part = number.fraction * unit->factor;
	if ((measure->exact || unit->factor == 1) && part % number.scale != 0)
		return -EINVAL;
	if (number.overflow || __builtin_mul_overflow(number.whole, unit->factor, &sum) ||
		__builtin_add_overflow(sum, part / number.scale, &sum) || sum > most)
		return -ERANGE;
	*value = sum;
	return 0;
}

int units_parse_size(const char *text, uint64_t *bytes)
{
	return measure_parse(&size_measure, text, INT64_MAX, bytes);
}

int units_parse_share(const char *text, uint32_t *permille)
{
	uint64_t value;
	int error = measure_parse(&share_measure, text, 1000, &value);

	if (error == 0)
		*permille = (uint32_t)value;
	return error;
}

int units_parse_cpus(const char *text, uint32_t *permille)
{
	uint64_t value;
	int error = measure_parse(&cpu_measure, text, CPUS_MOST * UINT64_C(1000), &value);

	if (error == 0)
		*permille = (uint32_t)value;
	return error;
}

int units_parse_amount(const char *text, struct config_amount *amount)
{
	struct config_amount parsed = {0};
	int error;

	if (strcmp(text, "off") == 0)
		error = 0;
	else if (strchr(text, '%') != NULL)
		error = units_parse_share(text, &parsed.permille);
	else
		error = units_parse_size(text, &parsed.bytes);
	if (error == 0)
		*amount = parsed;
	return error;
}

int units_parse_duration(const char *text, uint32_t *duration_ms)
{
	uint64_t value;
	int error = measure_parse(&duration_measure, text, UINT32_MAX, &value);

	if (error == 0)
		*duration_ms = (uint32_t)value;
	return error;
}

/* The middle word: a share, or a stall time within the window, rounded up so that
 * a short one does not turn into "off". */
static int psi_stall_parse(const char *text, uint32_t window_ms, uint32_t *permille)
{
	uint32_t stall_ms;
	int error;

	if (strchr(text, '%') != NULL)
		return units_parse_share(text, permille);
	error = units_parse_duration(text, &stall_ms);
	if (error != 0)
		return error;
	if (stall_ms > window_ms)
		return -ERANGE;
	*permille = (uint32_t)(((uint64_t)stall_ms * 1000 + window_ms - 1) / window_ms);
	return 0;
}

int units_parse_psi(const char *text, struct config_psi *psi)
{
	struct config_psi parsed = {0};
	char kind[8];
	char stall[32];
	char window[32];
	int length = 0;
	int error;

	if (strcmp(text, "off") == 0 || strcmp(text, "0") == 0) {
		*psi = parsed;
		return 0;
	}
	if (strchr(" \t", text[0]) != NULL ||
		sscanf(text, "%7[a-z]%*[ \t]%31[0-9.%a-z]%*[ \t]%31[0-9.a-z]%n", kind, stall,
			window, &length) != 3 ||
		text[length] != '\0')
		return -EINVAL;
	if (strcmp(kind, "some") == 0)
		parsed.kind = CONFIG_PSI_SOME;
	else if (strcmp(kind, "full") == 0)
		parsed.kind = CONFIG_PSI_FULL;
	else
		return -EINVAL;
	error = units_parse_duration(window, &parsed.window_ms);
	if (error != 0)
		return error;
	if (parsed.window_ms == 0)
		return -ERANGE;
	error = psi_stall_parse(stall, parsed.window_ms, &parsed.permille);
	if (error != 0)
		return error;
	*psi = parsed.permille != 0 ? parsed : (struct config_psi){0};
	return 0;
}

/* A small decimal number and nothing else. */
static int small_number_parse(const char *text, int *value)
{
	struct number number;
	const char *end;

	if (number_parse(text, &number, &end) != 0 || *end != '\0' || number.scale != 1)
		return -EINVAL;
	if (number.overflow || number.whole > INT16_MAX)
		return -ERANGE;
	*value = (int)number.whole;
	return 0;
}

/* "RTMIN", "RTMIN+3", "RTMAX-1". */
static int realtime_signal_parse(const char *text, int *number)
{
	bool from_least = strncasecmp(text, "RTMIN", 5) == 0;
	char sign = from_least ? '+' : '-';
	int offset = 0;
	int error;

	if (!from_least && strncasecmp(text, "RTMAX", 5) != 0)
		return -EINVAL;
	if (text[5] != '\0') {
		if (text[5] != sign)
			return -EINVAL;
		error = small_number_parse(text + 6, &offset);
		if (error != 0)
			return error;
	}
	if (offset > SIGRTMAX - SIGRTMIN)
		return -ERANGE;
	*number = from_least ? SIGRTMIN + offset : SIGRTMAX - offset;
	return 0;
}

int units_parse_signal(const char *text, int *number)
{
	if (is_digit(text[0])) {
		int value;
		int error = small_number_parse(text, &value);
		if (error != 0)
			return error;
		/* Those between the named and the real-time ones belong to libc. */
		if (value == 0 || value > SIGRTMAX ||
			(value >= (int)SIGNAL_NAMES && value < SIGRTMIN))
			return -ERANGE;
		*number = value;
		return 0;
	}
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 1; i < SIGNAL_NAMES; i++) {
		if (signal_names[i] != NULL && strcasecmp(signal_names[i], text) == 0) {
			*number = (int)i;
			return 0;
		}
	}
	return realtime_signal_parse(text, number);
}

int units_parse_boolean(const char *text, bool *value)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcasecmp(words[i], text) == 0) {
			*value = i % 2 == 1;
			return 0;
		}
	}
	return -EINVAL;
}

int units_parse_integer(const char *text, int least, int most, int *value)
{
	const char *digits = text + (text[0] == '-');
	long parsed = strtol(text, NULL, 10);

	if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return -EINVAL;
	if (parsed < least || parsed > most)
		return -ERANGE;
	*value = (int)parsed;
	return 0;
}

static void format_permille(uint32_t permille, char *text, size_t text_bytes)
{
	if (permille % 10 == 0)
		snprintf(text, text_bytes, "%" PRIu32 "%%", permille / 10);
	else
		snprintf(text, text_bytes, "%" PRIu32 ".%" PRIu32 "%%", permille / 10,
			permille % 10);
}

/* The largest unit that divides the value; the units stand in rising order. */
static void format_measure(
	uint64_t value, const struct unit *units, size_t count, char *text, size_t text_bytes)
{
	const struct unit *best = &units[0];

	for (size_t i = 1; i < count; i++)
		if (value != 0 && value % units[i].factor == 0)
			best = &units[i];
	snprintf(text, text_bytes, "%" PRIu64 "%s", value / best->factor, best->name);
}

void units_format_amount(struct config_amount amount, char *text, size_t text_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"K", UINT64_C(1) << 10},
		{"M", UINT64_C(1) << 20},
		{"G", UINT64_C(1) << 30},
		{"T", UINT64_C(1) << 40},
	};

	if (amount.permille != 0)
		format_permille(amount.permille, text, text_bytes);
	else if (amount.bytes == 0)
		snprintf(text, text_bytes, "off");
	else
		format_measure(
			amount.bytes, units, sizeof units / sizeof units[0], text, text_bytes);
}

void units_format_duration(uint32_t duration_ms, char *text, size_t text_bytes)
{
	format_measure(duration_ms, duration_units + 1,
		sizeof duration_units / sizeof duration_units[0] - 2, text, text_bytes);
}

void units_format_psi(struct config_psi psi, char *text, size_t text_bytes)
{
	char share[16];
	char window[24];

	if (psi.permille == 0) {
		snprintf(text, text_bytes, "off");
		return;
	}
	format_permille(psi.permille, share, sizeof share);
	units_format_duration(psi.window_ms, window, sizeof window);
	snprintf(text, text_bytes, "%s %s %s", psi.kind == CONFIG_PSI_FULL ? "full" : "some", share,
		window);
}
