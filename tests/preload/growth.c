#include "tests/preload/player.h"

/* The growth gate, seen from both sides. */

#define WAIT_MS 400L

static struct puppet gated_puppet(uint64_t credit_bytes)
{
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "grow 4096");
	PLAYER_WAIT(WAIT_S, slot_of(puppet.pid) != NULL && slot_of(puppet.pid)->has_thread == 1);
	play.header->gate_wait_ms = WAIT_MS;
	play.gate->credit_bytes = credit_bytes;
	return puppet;
}

static void credit_give(uint64_t bytes)
{
	atomic_fetch_add(&play.gate->credit_bytes, bytes);
	atomic_fetch_add(&play.gate->turn, 1);
	syscall(SYS_futex, &play.gate->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void test_no_credit(void)
{
	struct puppet puppet = gated_puppet(0);
	struct link_slot *slot = slot_of(puppet.pid);
	uint32_t bell = play.gate->doorbell;

	puppet_send(&puppet, "grow 8192");
	tap_ok(PLAYER_WAIT(WAIT_S, slot->wants_bytes >= 8 * MIB),
		"a growing heap says what it wants");
	tap_ok(play.gate->doorbell != bell, "and rings the doorbell");
	long took_ms = atol(puppet_hear(&puppet));
	tap_ok(took_ms >= WAIT_MS - 20 && took_ms < WAIT_MS * 5, "it waits no longer than it may");
	player_diag("waited ms", (unsigned long long)took_ms);
	tap_ok(slot->wants_bytes == 0 && slot->gate_waits >= 1 &&
			slot->gate_timeouts == slot->gate_waits,
		"then it goes on, and the slot says so");
	tap_ok(slot->gate_wait_ns >= (WAIT_MS - 20) * 1000000ULL, "with the time that it cost");
	puppet_end(&puppet);
}

static void test_credit_comes(void)
{
	struct puppet puppet = gated_puppet(0);
	struct link_slot *slot = slot_of(puppet.pid);
	uint64_t wanted = 0;

	play.header->gate_wait_ms = 5000;
	puppet_send(&puppet, "grow 8192");
	PLAYER_WAIT(WAIT_S, (wanted = slot->wants_bytes) != 0);
	credit_give(64 * MIB);
	long took_ms = atol(puppet_hear(&puppet));
	tap_ok(wanted != 0 && took_ms < 4000, "credit lets it go on at once");
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

static void test_own_memory_pays(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);
	struct link_slot *slot = slot_of(puppet.pid);

	puppet_ask(&puppet, "holes 65536 131072");
	play.gate->credit_bytes = 0;
	long took_ms = puppet_ask(&puppet, "grow 8192");
	tap_ok(took_ms >= 0 && slot->gate_waits == 0, "what idles in its own heap pays first");
	tap_ok(PLAYER_WAIT(3, slot->released_growth_bytes >= 8 * MIB),
		"and is counted as growth's");
	puppet_end(&puppet);
}

static void test_nobody_attends(void)
{
	struct puppet puppet = gated_puppet(0);

	play.header->gate_wait_ms = 3000;
	heart_stop();
	tap_ok(puppet_ask(&puppet, "grow 8192") < 2500,
		"nobody waits for a supervisor that is gone");
	heart_stopped = false;
	heart_beat();
	play.header->gate_wait_ms = 0;
	tap_ok(puppet_ask(&puppet, "grow 8192") < 2500, "nor where no wait is allowed");
	play.header->gate_wait_ms = UINT32_MAX;
	puppet_send(&puppet, "grow 8192");
	PLAYER_WAIT(2, slot_of(puppet.pid)->wants_bytes != 0);
	play.gate->credit_bytes = UINT64_MAX;
	credit_give(0);
	tap_ok(atol(puppet_hear(&puppet)) < 9000, "an opened gate lets everybody go");
	puppet_end(&puppet);
}

static void test_small_need(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);

	puppet_ask(&puppet, "idle 128 65536");
	link_ask(LINK_CALM, LINK_FULL);
	PLAYER_WAIT(WAIT_S, slot_of(puppet.pid)->sequence_done == play.header->sequence);
	play.header->gate_wait_ms = 4000;
	play.gate->credit_bytes = 0;
	long took_ms = puppet_ask(&puppet, "grow 40");
	tap_ok(took_ms < 2500, "a small need waits a part of the time only");
	player_diag("waited ms", (unsigned long long)took_ms);
	puppet_end(&puppet);
}

static void test_fork_child(void)
{
	struct puppet puppet = gated_puppet(UINT64_MAX);
	pid_t child = (pid_t)puppet_ask(&puppet, "fork");

	play.header->gate_wait_ms = 9000;
	play.gate->credit_bytes = 0;
	puppet_send(&puppet, "grow 8192");
	tap_ok(PLAYER_WAIT(
		       WAIT_S, slot_of(child) != NULL && slot_of(child)->wants_bytes >= 8 * MIB),
		"a forked child without a slot takes one to say what it wants");
	credit_give(64 * MIB);
	tap_ok(atol(puppet_hear(&puppet)) < 8000, "and goes on");
	puppet_end(&puppet);
}

int main(int count, char **arguments)
{
	player_init(count, arguments);
	test_no_credit();
	test_credit_comes();
	test_enough_credit();
	test_own_memory_pays();
	test_nobody_attends();
	test_small_need();
	test_fork_child();
	return player_done();
}
