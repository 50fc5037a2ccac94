/* How to scavenge, from the environment or the link. */
#include "shim/settings.h"

#include "shim/amount.h"
#include "shim/environment.h"
#include "shim/heap/base/os.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "shim/limit.h"
#include "shim/link.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SECOND_NS ((uint64_t)1000000000)
#define PRICED_PAGE_BYTES ((uint64_t)4096)
#define CORE_WORTH_MIN_BYTES ((uint64_t)16 << 20)
#define CORE_WORTH_MAX_BYTES ((uint64_t)1 << 40)

_Static_assert((int)HEAP_POLICIES == (int)LINK_SCAVENGES &&
		       (int)HEAP_ADAPTIVE == (int)LINK_SCAVENGE_ADAPTIVE &&
		       (int)HEAP_OFF == (int)LINK_SCAVENGE_OFF &&
		       (int)HEAP_GO1_11 == (int)LINK_SCAVENGE_GO1_11 &&
		       (int)HEAP_GO1_12 == (int)LINK_SCAVENGE_GO1_12 &&
		       (int)HEAP_GO1_13 == (int)LINK_SCAVENGE_GO1_13 &&
		       (int)HEAP_DECAY == (int)LINK_SCAVENGE_DECAY,
	"policies have the numbers of the link");

static struct heap_tuning standalone = {
	.policy = HEAP_ADAPTIVE,
	.cpu_permille = HEAP_CPU_PERMILLE,
	.price_ns = HEAP_PRICE_NS,
};

/* What the heap was told last; read by anybody. */
static struct {
	_Atomic uint32_t policy;
	_Atomic bool dontneed_only;
	_Atomic uint32_t cpu_permille;
	_Atomic uint64_t price_ns;
} told = {.cpu_permille = HEAP_CPU_PERMILLE, .price_ns = HEAP_PRICE_NS};

static bool policy_parse(const char *text, struct heap_tuning *tuning)
{
	static const char *const names[HEAP_POLICIES] = {
		[HEAP_ADAPTIVE] = "adaptive",
		[HEAP_OFF] = "off",
		[HEAP_GO1_11] = "go1.11",
		[HEAP_GO1_12] = "go1.12",
		[HEAP_GO1_13] = "go1.13",
		[HEAP_DECAY] = "decay",
	};

	for (uint32_t i = 0; i < HEAP_POLICIES; i++) {
		if (strcmp(text, names[i]) == 0) {
			tuning->policy = (enum heap_policy)i;
			return true;
		}
	}
	return false;
}

static bool madvise_parse(const char *text, struct heap_tuning *tuning)
{
	tuning->dontneed_only = strcmp(text, "dontneed") == 0;
	return tuning->dontneed_only || strcmp(text, "auto") == 0;
}

static bool cpu_parse(const char *text, struct heap_tuning *tuning)
{
	uint64_t thousandths;

	if (amount_parse_share(text, &thousandths) != 0 || thousandths % 100 != 0 ||
		thousandths == 0 || thousandths > 100000)
		return false;
	tuning->cpu_permille = (uint32_t)(thousandths / 100);
	return true;
}

static bool core_worth_parse(const char *text, struct heap_tuning *tuning)
{
	uint64_t bytes;

	if (amount_parse_size(text, &bytes) != 0 || bytes < CORE_WORTH_MIN_BYTES ||
		bytes > CORE_WORTH_MAX_BYTES)
		return false;
	tuning->price_ns = SECOND_NS * PRICED_PAGE_BYTES / bytes;
	return true;
}

static const struct variable {
	const char *name;
	bool (*parse)(const char *text, struct heap_tuning *tuning);
	const char *expected;
} variables[] = {
	{"SPILLWAY_SCAVENGE", policy_parse, "adaptive, off, go1.11, go1.12, go1.13 or decay"},
	{"SPILLWAY_MADVISE", madvise_parse, "auto or dontneed"},
	{"SPILLWAY_SCAVENGE_CPU", cpu_parse,
		"a share of one CPU from 0.1% to 100%, such as 1% or 0.5%"},
	{"SPILLWAY_CORE_WORTH", core_worth_parse, "a size from 16M to 1T, such as 2G"},
};

static void environment_read(char **environment)
{
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
		const struct variable *variable = &variables[i];
		const char *value = environment_find(environment, variable->name);
		struct heap_tuning tuning = standalone;

		if (value == NULL)
			continue;
		if (variable->parse(value, &tuning))
			standalone = tuning;
		else
			environment_complain(variable->name, value, variable->expected);
	}
}

static void tell(const struct heap_tuning *tuning)
{
	atomic_store_explicit(&told.policy, tuning->policy, memory_order_relaxed);
	atomic_store_explicit(&told.dontneed_only, tuning->dontneed_only, memory_order_relaxed);
	atomic_store_explicit(&told.cpu_permille, tuning->cpu_permille, memory_order_relaxed);
	atomic_store_explicit(&told.price_ns, tuning->price_ns, memory_order_relaxed);
	heap_tune(tuning);
}

void settings_init(char **environment)
{
	if (environment != NULL)
		environment_read(environment);
	tell(&standalone);
	settings_apply(os_now_ns());
}

/* Without a supervisor: the environment's price, and what the limit adds. */
static void price_apply(const struct heap_tuning *before)
{
	static uint32_t applied = LIMIT_PRICE_PERMILLE;
	uint32_t permille = limit_price_permille();
	struct heap_tuning now = *before;

	if (permille == applied)
		return;
	applied = permille;
	now.price_ns = standalone.price_ns * permille / LIMIT_PRICE_PERMILLE;
	tell(&now);
}

void settings_apply(uint64_t now_ns)
{
	struct heap_tuning before;
	struct heap_tuning now;
	struct link_tuning linked;

	settings_read(&before);
	if (!link_tuning_read(now_ns, &linked)) {
		price_apply(&before);
		return;
	}
	now = (struct heap_tuning){
		.policy = (enum heap_policy)linked.scavenge,
		.dontneed_only = linked.madvise == LINK_MADVISE_DONTNEED,
		.cpu_permille = linked.cpu_permille != 0 ? linked.cpu_permille : HEAP_CPU_PERMILLE,
		.price_ns = linked.price_ns != 0 ? linked.price_ns : HEAP_PRICE_NS,
	};
	if (now.policy != before.policy || now.dontneed_only != before.dontneed_only ||
		now.cpu_permille != before.cpu_permille || now.price_ns != before.price_ns)
		tell(&now);
}

void settings_read(struct heap_tuning *tuning)
{
	*tuning = (struct heap_tuning){
		.policy =
			(enum heap_policy)atomic_load_explicit(&told.policy, memory_order_relaxed),
		.dontneed_only = atomic_load_explicit(&told.dontneed_only, memory_order_relaxed),
		.cpu_permille = atomic_load_explicit(&told.cpu_permille, memory_order_relaxed),
		.price_ns = atomic_load_explicit(&told.price_ns, memory_order_relaxed),
	};
}
