/* The soft limit of a process without a supervisor: the setting, and what is in force. */
#include "shim/limit.h"

#include "shim/amount.h"
#include "shim/environment.h"
#include "shim/futex.h"

#include <errno.h>
#include <string.h>

static struct limit_setting setting;
static void (*wake_scavenger)(void);

_Atomic uint64_t limit_mark = LIMIT_NO_MARK;

static struct link_gate gate = {.credit_bytes = UINT64_MAX};
static struct link_slot slot;
static _Atomic uint32_t level;
static _Atomic uint32_t price_permille = LIMIT_PRICE_PERMILLE;
static _Atomic uint32_t gate_wait_ms;
/* What the thread sleeps on; NULL: it is not there. */
static _Atomic uint32_t *_Atomic attended_word;
static _Atomic uint32_t attended_bits;
static _Atomic uint32_t notified;
static _Atomic bool wanted = true;

int limit_parse(const char *text, struct limit_setting *parsed)
{
	uint64_t thousandths;
	uint64_t bytes;

	if (strcmp(text, "auto") == 0) {
		*parsed = (struct limit_setting){.kind = LIMIT_AUTO};
	} else if (strcmp(text, "off") == 0) {
		*parsed = (struct limit_setting){.kind = LIMIT_OFF};
	} else if (strchr(text, '%') != NULL) {
		if (amount_parse_share(text, &thousandths) != 0 || thousandths % 100 != 0 ||
			thousandths == 0 || thousandths > 100000)
			return -EINVAL;
		*parsed = (struct limit_setting){
			.kind = LIMIT_SHARE, .permille = (uint32_t)(thousandths / 100)};
	} else {
		if (amount_parse_size(text, &bytes) != 0 || bytes < LIMIT_BYTES_MIN)
			return -EINVAL;
		*parsed = (struct limit_setting){.kind = LIMIT_SIZE, .bytes = bytes};
	}
	return 0;
}

void limit_init(char **environment, void (*wake)(void))
{
	static const char name[] = "SPILLWAY_LIMIT";
	const char *text = environment != NULL ? environment_find(environment, name) : NULL;

	wake_scavenger = wake;
	if (text != NULL && limit_parse(text, &setting) != 0)
		environment_complain(name, text,
			"auto, off, a size from 1M such as 512M, or a share up to 100% such as "
			"80%");
}

const struct limit_setting *limit_setting(void)
{
	return &setting;
}

enum heap_level limit_level(void)
{
	return (enum heap_level)atomic_load_explicit(&level, memory_order_relaxed);
}

uint32_t limit_price_permille(void)
{
	return atomic_load_explicit(&price_permille, memory_order_relaxed);
}

uint32_t limit_gate_wait_ms(void)
{
	return atomic_load_explicit(&gate_wait_ms, memory_order_relaxed);
}

struct link_gate *limit_gate(void)
{
	return &gate;
}

struct link_slot *limit_slot(void)
{
	return &slot;
}

void limit_notify(void)
{
	_Atomic uint32_t *word = atomic_load(&attended_word);

	atomic_fetch_add(&notified, 1);
	if (word == NULL) {
		if (!atomic_exchange(&wanted, true) && wake_scavenger != NULL)
			wake_scavenger();
		return;
	}
	atomic_fetch_add(word, 1);
	futex_wake(word, INT32_MAX, atomic_load(&attended_bits));
}

uint32_t limit_notified(void)
{
	return atomic_load(&notified);
}

void limit_mark_pass(void)
{
	/* One notification a mark. */
	if (atomic_exchange(&limit_mark, LIMIT_NO_MARK) != LIMIT_NO_MARK)
		limit_notify();
}

void limit_attend(_Atomic uint32_t *word, uint32_t bits)
{
	atomic_store(&attended_bits, bits);
	atomic_store(&attended_word, word);
}

bool limit_is_attended(void)
{
	return atomic_load(&attended_word) != NULL;
}

bool limit_is_wanted(void)
{
	return atomic_load(&wanted);
}

void limit_want(bool wants)
{
	atomic_store(&wanted, wants);
}

void limit_level_set(enum heap_level to)
{
	atomic_store(&level, (uint32_t)to);
}

void limit_price_set(uint32_t permille)
{
	atomic_store(&price_permille, permille);
}

void limit_gate_wait_set(uint32_t wait_ms)
{
	atomic_store(&gate_wait_ms, wait_ms);
}

static void waiters_wake(void)
{
	atomic_fetch_add(&gate.turn, 1);
	futex_wake(&gate.turn, INT32_MAX, FUTEX_ALL_BITS);
}

void limit_credit_set(uint64_t credit_bytes, uint64_t seen_bytes)
{
	uint64_t left_bytes = atomic_load(&gate.credit_bytes);
	uint64_t next_bytes;

	do {
		uint64_t taken_bytes = 0;

		if (seen_bytes != UINT64_MAX && left_bytes < seen_bytes)
			taken_bytes = seen_bytes - left_bytes;
		next_bytes = credit_bytes;
		if (next_bytes != UINT64_MAX)
			next_bytes = next_bytes > taken_bytes ? next_bytes - taken_bytes : 0;
	} while (!atomic_compare_exchange_weak(&gate.credit_bytes, &left_bytes, next_bytes));
	if (atomic_load(&slot.wants_bytes) != 0)
		waiters_wake();
}

void limit_lift(void)
{
	limit_level_set(HEAP_CALM);
	limit_price_set(LIMIT_PRICE_PERMILLE);
	atomic_store(&gate.credit_bytes, UINT64_MAX);
	waiters_wake();
}

void limit_fork_child(void)
{
	limit_level_set(HEAP_CALM);
	limit_price_set(LIMIT_PRICE_PERMILLE);
	atomic_store(&gate.credit_bytes, UINT64_MAX);
	atomic_store(&slot.wants_bytes, 0);
	atomic_store(&limit_mark, LIMIT_NO_MARK);
	limit_attend(NULL, 0);
	limit_want(true);
}
