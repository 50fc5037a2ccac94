#include "tests/preload/player.h"

/* The growth gate, seen from both sides. */

#define WAIT_MS 400L

static struct puppet gated_puppet(uint64_t credit_bytes)
{
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "grow 4096");
	WAIT_UNTIL(WAIT_S, slot_of(puppet.pid) != NULL && slot_of(puppet.pid)->has_thread == 1);
	play.header->gate_wait_ms = WAIT_MS;
	play.gate->credit_bytes = credit_bytes;
	return puppet;
}

/* Whether the growth comes to an end: what it waits for otherwise takes an hour. */
static bool puppet_answers(struct puppet *puppet)
{
	return *puppet_hear(puppet) != '\0';
}

static void credit_give(uint64_t bytes)
{
	atomic_fetch_add(&play.gate->credit_bytes, bytes);
	atomic_fetch_add(&play.gate->turn, 1);
	syscall(SYS_futex, &play.gate->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* What the supervisor wants to be told of comes with the growth itself. */
static void test_notice(void)
{
	link_make();
	struct puppet puppet = puppet_start();
	struct link_slot *slot;
	uint64_t in_use_bytes;
	uint32_t before;

	puppet_ask(&puppet, "grow 4096");
	slot = slot_of(puppet.pid);
	CHECK(slot != NULL && WAIT_UNTIL(WAIT_S, slot->has_thread == 1));
	play.gate->notice_bytes = 24 * MIB;
	before = play.gate->notify;
	puppet_ask(&puppet, "grow 8192");
	tap_ok(play.gate->notify == before && play.gate->notice_bytes <= 16 * MIB,
		"growth is counted, and tells of itself not before it was told to");
	in_use_bytes = slot->in_use_bytes;
	puppet_ask(&puppet, "grow 20480");
	tap_ok(play.gate->notify == before + 1, "it notifies once when it has come so far");
	tap_ok(play.gate->notice_bytes == UINT64_MAX, "and counts no more until it is told to");
	tap_ok(slot->in_use_bytes > in_use_bytes, "the slot shows what has grown");
	puppet_end(&puppet);
}

static void test_no_credit(void)
{
	struct puppet puppet = gated_puppet(0);
	struct link_slot *slot = slot_of(puppet.pid);
	uint32_t before = play.gate->notify;

	puppet_send(&puppet, "grow 8192");
	tap_ok(WAIT_UNTIL(WAIT_S, slot->wants_bytes >= 8 * MIB),
		"a growing heap says what it wants");
	tap_ok(play.gate->notify != before, "and notifies the supervisor");
	long took_ms = atol(puppet_hear(&puppet));
	tap_ok(took_ms >= WAIT_MS - 20, "it waits as long as it may, then goes on");
	player_diag("waited ms", (unsigned long long)took_ms);
	tap_ok(slot->wants_bytes == 0 && slot->gate_waits >= 1 &&
			slot->gate_timeouts == slot->gate_waits,
		"and the slot says so");
	tap_ok(slot->gate_wait_ns >= (WAIT_MS - 20) * 1000000ULL, "with the time that it cost");
	puppet_end(&puppet);
}

static void test_credit_comes(void)
{
	struct puppet puppet = gated_puppet(0);
	struct link_slot *slot = slot_of(puppet.pid);
	uint64_t wanted = 0;

	play.header->gate_wait_ms = HOUR_MS;
	puppet_send(&puppet, "grow 8192");
	WAIT_UNTIL(WAIT_S, (wanted = slot->wants_bytes) != 0);
	credit_give(64 * MIB);
	tap_ok(wanted != 0 && puppet_answers(&puppet), "credit lets it go on at once");
	tap_ok(slot->gate_timeouts == 0 && slot->gate_waits == 1, "which is no timeout");
	tap_ok(play.gate->credit_bytes == 64 * MIB - wanted, "and is taken out of the credit");
	puppet_end(&puppet);
}

static void test_enough_credit(void)
{
	struct puppet puppet = gated_puppet(64 * MIB);
	struct link_slot *slot = slot_of(puppet.pid);

	tap_ok(puppet_ask(&puppet, "grow 8192") >= 0 && slot->gate_waits == 0,
		"with credit there is no wait");
	tap_ok(play.gate->credit_bytes <= 56 * MIB && play.gate->credit_bytes >= 48 * MIB,
		"the credit pays for the growth");
	puppet_end(&puppet);
}

/* Usage alone would hide it where another process gives back at the same time. */
static void test_what_is_resident_is_told(void)
{
	struct puppet puppet = gated_puppet(64 * MIB);
	struct link_slot *slot = slot_of(puppet.pid);

	puppet_ask(&puppet, "grow 2048");
	tap_ok(slot->populated_bytes == 0, "at calm nothing is made resident at once, nor told");
	play.header->level = LINK_LAZY;
	uint64_t before_bytes = play.gate->credit_bytes;
	puppet_ask(&puppet, "grow 3072");
	uint64_t taken_bytes = before_bytes - play.gate->credit_bytes;
	tap_ok(taken_bytes >= 3 * MIB && slot->populated_bytes == taken_bytes,
		"near the wall the slot tells what credit was used for");
	player_diag("told bytes", (unsigned long long)slot->populated_bytes);
	puppet_end(&puppet);
}

static void step_through(const struct puppet *puppet, enum link_level level)
{
	for (int i = 0; i < 2; i++) {
		uint32_t sequence = link_ask(level, LINK_EAGER);
		CHECK(WAIT_UNTIL(WAIT_S, slot_of(puppet->pid)->sequence_done == sequence));
	}
}

/* What a burst leaves idle is wanted at once where the wall is near. */
static void test_what_is_freed_is_told(void)
{
	link_make();
	struct puppet puppet = puppet_start();
	uint32_t before;

	puppet_ask(&puppet, "keep 32768 65536");
	CHECK(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->has_thread == 1));
	step_through(&puppet, LINK_CALM);
	before = play.gate->notify;
	puppet_ask(&puppet, "let");
	tap_ok(play.gate->notify == before, "at calm nobody is told what is freed");
	puppet_ask(&puppet, "keep 32768 65536");
	step_through(&puppet, LINK_FULL);
	before = play.gate->notify;
	puppet_ask(&puppet, "let");
	tap_ok(play.gate->notify != before, "near the wall the supervisor is");
	tap_ok(play.gate->notify - before <= 8, "for every few MiB");
	player_diag("times", (unsigned long long)(play.gate->notify - before));
	puppet_end(&puppet);
}

static void test_own_memory_pays(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);
	struct link_slot *slot = slot_of(puppet.pid);

	puppet_ask(&puppet, "holes 65536 131072");
	play.gate->credit_bytes = 0;
	long took_ms = puppet_ask(&puppet, "grow 8192");
	tap_ok(took_ms >= 0 && slot->gate_waits == 0, "what idles in its own heap pays first");
	tap_ok(WAIT_UNTIL(WAIT_S, slot->released_growth_bytes >= 8 * MIB),
		"and is counted as growth's");
	puppet_end(&puppet);
}

static void test_nobody_attends(void)
{
	struct puppet puppet = gated_puppet(0);

	play.header->gate_wait_ms = HOUR_MS;
	heart_stop();
	puppet_send(&puppet, "grow 8192");
	tap_ok(puppet_answers(&puppet), "nobody waits for a supervisor that is gone");
	heart_stopped = false;
	heart_beat();
	play.header->gate_wait_ms = 0;
	puppet_send(&puppet, "grow 8192");
	tap_ok(puppet_answers(&puppet), "nor where no wait is allowed");
	play.header->gate_wait_ms = UINT32_MAX;
	puppet_send(&puppet, "grow 8192");
	tap_ok(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->wants_bytes != 0),
		"where a long one is, it waits");
	play.gate->credit_bytes = UINT64_MAX;
	credit_give(0);
	tap_ok(puppet_answers(&puppet), "an opened gate lets everybody go");
	puppet_end(&puppet);
}

#define SMALL_WAIT_MS 4000L

/* How long a need waits, in ms, that is small, where a large one would wait for SMALL_WAIT_MS. */
static long small_need_waits(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);

	puppet_ask(&puppet, "idle 128 65536");
	link_ask(LINK_CALM, LINK_FULL);
	WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->sequence_done == play.header->sequence);
	play.header->gate_wait_ms = SMALL_WAIT_MS;
	play.gate->credit_bytes = 0;
	long took_ms = puppet_ask(&puppet, "grow 40");
	player_diag("waited ms", (unsigned long long)took_ms);
	puppet_end(&puppet);
	return took_ms;
}

static void test_small_need(void)
{
	long took_ms = SMALL_WAIT_MS;

	/* Less than the whole time is a proof.  More is none: it may not have got to run. */
	for (int i = 0; i < 5 && took_ms >= SMALL_WAIT_MS; i++)
		took_ms = small_need_waits();
	tap_ok(took_ms >= SMALL_WAIT_MS / 8 - 20 && took_ms < SMALL_WAIT_MS,
		"a small need waits a part of the time only");
}

static void test_fork_child(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);
	pid_t child = (pid_t)puppet_ask(&puppet, "fork");

	play.header->gate_wait_ms = HOUR_MS;
	play.gate->credit_bytes = 0;
	puppet_send(&puppet, "grow 8192");
	tap_ok(WAIT_UNTIL(WAIT_S, slot_of(child) != NULL && slot_of(child)->wants_bytes >= 8 * MIB),
		"a forked child without a slot takes one to say what it wants");
	credit_give(64 * MIB);
	tap_ok(puppet_answers(&puppet), "and goes on");
	puppet_end(&puppet);
}

int main(int count, char **arguments)
{
	player_init(count, arguments);
	test_notice();
	test_no_credit();
	test_credit_comes();
	test_enough_credit();
	test_what_is_resident_is_told();
	test_what_is_freed_is_told();
	test_own_memory_pays();
	test_nobody_attends();
	test_small_need();
	test_fork_child();
	return player_done();
}
