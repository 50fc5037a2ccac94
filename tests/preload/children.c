#include "tests/preload/player.h"

/*
 * Processes that a process of a service makes, forked and bare: what they inherit can be asked back
 * from them, and what is their parent's stays its.
 */
#define KEPT_KIB 65536L

/* A puppet that keeps memory, went on in a forked child; the parent's thread is at rest. */
static struct puppet family_start(const char *kept, pid_t *child)
{
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, kept);
	CHECK(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->has_thread == 1));
	*child = (pid_t)puppet_ask(&puppet, "fork");
	CHECK(*child > 0);
	return puppet;
}

static bool has_joined(pid_t child)
{
	struct link_slot *slot = slot_of(child);

	return slot != NULL && atomic_load(&slot->has_thread) == 1;
}

/* A request for all that the child has, while it sleeps in read. */
static bool gives_back(pid_t child, long most_kib)
{
	uint32_t sequence = link_ask(LINK_CALM, LINK_FULL);

	return WAIT_UNTIL(WAIT_S, slot_of(child)->sequence_done == sequence) &&
	       rss_kib(child) < most_kib;
}

static void test_freed(const char *kept, const char *name)
{
	char text[100];
	pid_t child;
	link_make();
	struct puppet puppet = family_start(kept, &child);

	snprintf(text, sizeof text, "%s: a child that only inherited has neither slot nor thread",
		name);
	tap_ok(!has_joined(child) && slots_taken() == 1, text);
	puppet_ask(&puppet, "let");
	snprintf(text, sizeof text, "%s: it has both when it frees that", name);
	tap_ok(WAIT_UNTIL(WAIT_S, has_joined(child)), text);
	snprintf(text, sizeof text, "%s: and gives it back when it is asked", name);
	tap_ok(has_joined(child) && gives_back(child, KEPT_KIB / 8), text);
	tap_ok(puppet_end(&puppet), "both end well");
}

/* What every other of small blocks leaves are free slots, not pages. */
static void test_thinned(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("keep 65536 4096", &child);

	puppet_ask(&puppet, "thin");
	tap_ok(WAIT_UNTIL(WAIT_S, has_joined(child)), "free slots count as well");
	tap_ok(has_joined(child) && gives_back(child, KEPT_KIB * 3 / 4), "and are given back");
	puppet_end(&puppet);
}

static void test_inherited_idle(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("idle 65536 65536", &child);

	tap_ok(WAIT_UNTIL(WAIT_S, has_joined(child)),
		"a child that inherits idle memory has a thread before it uses the heap");
	tap_ok(has_joined(child) && gives_back(child, KEPT_KIB / 8),
		"and gives that back when it is asked");
	puppet_end(&puppet);
}

/* Written to again, these pages would be the child's own without the gate being asked. */
static void test_shared_below_a_limit(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("keep 65536 65536", &child);

	puppet_ask(&puppet, "let");
	tap_ok(rss_kib(child) > KEPT_KIB * 3 / 4,
		"without a limit a child keeps what it inherited and freed");
	puppet_end(&puppet);
	link_make();
	play.header->headroom_bytes = 1024 * MIB;
	puppet = family_start("keep 65536 65536", &child);
	puppet_ask(&puppet, "let");
	tap_ok(rss_kib(child) < KEPT_KIB / 4, "below one it does not");
	player_diag("KiB", (unsigned long long)rss_kib(child));
	puppet_ask(&puppet, "keep 32768 65536");
	puppet_ask(&puppet, "let");
	tap_ok(rss_kib(child) > KEPT_KIB / 4, "and keeps what it freed of its own");
	player_diag("KiB", (unsigned long long)rss_kib(child));
	puppet_end(&puppet);
}

static void test_inherited_little(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("idle 8192 65536", &child);

	tap_ok(!has_joined(child), "one that inherits a little has none");
	puppet_ask(&puppet, "idle 256 65536");
	tap_ok(WAIT_UNTIL(WAIT_S, has_joined(child)), "until it uses the heap");
	puppet_end(&puppet);
}

static void test_nothing_held(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("keep 65536 2000", &child);

	for (int i = 0; i < 20; i++)
		puppet_ask(&puppet, "idle 1024 2000");
	tap_ok(puppet_ask(&puppet, "worker") == 0 && slots_taken() == 1,
		"a child that holds little to give back has no thread, however often it is used");
	puppet_end(&puppet);
}

/* A sum over processes would count what the parent gave back once more with each child. */
static void test_totals(void)
{
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "idle 65536 65536");
	CHECK(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->has_thread == 1));
	uint32_t sequence = link_ask(LINK_CALM, LINK_FULL);
	CHECK(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid)->sequence_done == sequence));
	CHECK(slot_of(puppet.pid)->released_full_bytes >= KEPT_KIB / 2 * 1024);
	puppet_ask(&puppet, "keep 16384 65536");
	pid_t child = (pid_t)puppet_ask(&puppet, "fork");
	puppet_ask(&puppet, "let");
	CHECK(WAIT_UNTIL(WAIT_S, has_joined(child)));
	tap_ok(slot_of(child)->released_full_bytes < KEPT_KIB / 2 * 1024,
		"a child does not count what its parent gave back");
	tap_ok(gives_back(child, KEPT_KIB) &&
			slot_of(child)->released_full_bytes >= KEPT_KIB / 8 * 1024,
		"but what it gives back itself");
	puppet_end(&puppet);
}

static void test_cancelled(void)
{
	pid_t child;
	link_make();
	struct puppet puppet = family_start("grow 20000", &child);

	tap_ok(puppet_ask(&puppet, "cancel") == 1,
		"a thread is not cancelled inside malloc, where the child takes its slot");
	tap_ok(slot_of(child) != NULL && WAIT_UNTIL(WAIT_S, has_joined(child)),
		"and the child has slot and thread");
	puppet_end(&puppet);
}

static void test_bare_clone(void)
{
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "clone-exit");
	tap_ok(slot_of(puppet.pid) != NULL,
		"a bare clone that exits leaves its parent's slot alone");
	puppet_ask(&puppet, "grow 20000");
	tap_ok(WAIT_UNTIL(WAIT_S, has_joined(puppet.pid)), "which goes on in it");
	tap_ok(puppet_end(&puppet) && slots_taken() == 0, "until it ends itself");
}

/* A puppet whose pid shares all low bits with another's. */
static struct puppet puppet_alike(pid_t pid)
{
	for (;;) {
		pid_t next = fork();

		CHECK(next >= 0);
		if (next == 0)
			_exit(0);
		CHECK(waitpid(next, NULL, 0) == next);
		if ((next + 1) % 32 != pid % 32)
			continue;
		struct puppet puppet = puppet_start();
		if (puppet.pid % 32 == pid % 32)
			return puppet;
		puppet_end(&puppet);
	}
}

static void test_wakes_itself_only(void)
{
	link_make();
	struct puppet one = puppet_start();
	struct puppet other = puppet_alike(one.pid);
	int thread_of_one;
	int thread_of_other;
	long before;

	puppet_ask(&one, "idle 4096 65536");
	puppet_ask(&other, "idle 4096 65536");
	CHECK(WAIT_UNTIL(WAIT_S, (thread_of_one = (int)puppet_ask(&one, "worker")) != 0));
	CHECK(WAIT_UNTIL(WAIT_S, (thread_of_other = (int)puppet_ask(&other, "worker")) != 0));
	/* What holds idle memory looks for the supervisor now and then. */
	link_ask(LINK_CALM, LINK_FULL);
	CHECK(WAIT_UNTIL(40, check_sleeps_for_good(one.pid, thread_of_one) &&
				     check_sleeps_for_good(other.pid, thread_of_other)));
	before = check_wakeups(other.pid, thread_of_other);
	puppet_ask(&one, "idle 65536 65536");
	tap_ok(WAIT_UNTIL(WAIT_S, !check_sleeps_for_good(one.pid, thread_of_one)),
		"use of the heap wakes the thread");
	tap_ok(before == check_wakeups(other.pid, thread_of_other),
		"and not that of a process whose pid has the same low bits");
	puppet_end(&one);
	puppet_end(&other);
}

int main(int count, char **arguments)
{
	player_init(count, arguments);
	test_freed("keep 65536 2000", "small blocks");
	test_freed("keep 65536 300000", "large blocks");
	test_thinned();
	test_inherited_idle();
	test_shared_below_a_limit();
	test_inherited_little();
	test_nothing_held();
	test_totals();
	test_cancelled();
	test_bare_clone();
	test_wakes_itself_only();
	return player_done();
}
