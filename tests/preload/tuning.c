#include "tests/preload/player.h"

/*
 * What the link says of scavenging at calm, live, and how the process hears of
 * levels, by the link, by itself and by the service manager's watch.
 */

/* The puppet's word on the settings in force. */
static bool settings_are(struct puppet *puppet, const char *wanted)
{
	puppet_send(puppet, "settings");
	return strcmp(puppet_hear(puppet), wanted) == 0;
}

static void link_tune(
	uint32_t scavenge, uint32_t madvise_way, uint32_t cpu_permille, uint64_t price_ns)
{
	atomic_store(&play.header->scavenge, scavenge);
	atomic_store(&play.header->madvise, madvise_way);
	atomic_store(&play.header->cpu_permille, cpu_permille);
	atomic_store(&play.header->price_ns, price_ns);
	link_ask(LINK_CALM, LINK_CALM);
}

static struct puppet puppet_with_thread(void)
{
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "idle 4096 65536");
	CHECK(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "worker") != 0));
	return puppet;
}

static void test_live(void)
{
	setenv("SPILLWAY_SCAVENGE", "decay", 1);
	/* Nor does it look whether the supervisor lives. */
	setenv("SPILLWAY_LIMIT", "off", 1);
	link_make();
	struct puppet puppet = puppet_with_thread();
	int thread = (int)puppet_ask(&puppet, "worker");

	tap_ok(settings_are(&puppet, "1 0 10 3814"),
		"the link's word goes before the environment's");
	link_tune(LINK_SCAVENGE_GO1_12, LINK_MADVISE_DONTNEED, 25, 5000);
	tap_ok(WAIT_UNTIL(WAIT_S, settings_are(&puppet, "3 1 25 5000")),
		"a change of the header reaches the heap");
	/* Under the policy in force it wakes now and then; here nothing is left to do. */
	link_tune(LINK_SCAVENGE_OFF, LINK_MADVISE_DONTNEED, 25, 5000);
	tap_ok(WAIT_UNTIL(WAIT_S, settings_are(&puppet, "1 1 25 5000")), "so does another");
	CHECK(WAIT_UNTIL(WAIT_S, check_sleeps_for_good(puppet.pid, thread)));
	link_tune(LINK_SCAVENGE_OFF, LINK_MADVISE_AUTO, 0, 0);
	tap_ok(WAIT_UNTIL(WAIT_S, settings_are(&puppet, "1 0 10 3814")),
		"and one whose thread sleeps for good; 0 is the default");
	link_tune(LINK_SCAVENGES, LINK_MADVISES, 1001, UINT64_MAX);
	tap_ok(WAIT_UNTIL(WAIT_S, settings_are(&puppet, "0 0 10 3814")),
		"what is out of range is the default");
	link_tune(LINK_SCAVENGE_DECAY, LINK_MADVISE_AUTO, 1000, 1000000000);
	tap_ok(WAIT_UNTIL(WAIT_S, settings_are(&puppet, "5 0 1000 1000000000")),
		"the ends of the ranges are not");
	heart_stop();
	link_tune(LINK_SCAVENGE_GO1_11, LINK_MADVISE_AUTO, 0, 0);
	tap_ok(!WAIT_UNTIL(1, !settings_are(&puppet, "5 0 1000 1000000000")),
		"what nobody attends leaves the last in force");
	tap_ok(puppet_end(&puppet), "the process ends well");
	unsetenv("SPILLWAY_SCAVENGE");
}

static void test_told(void)
{
	int thread = 0;

	link_make();
	struct puppet puppet = puppet_start();

	/* The thread has its name when it first ran. */
	tap_ok(puppet_ask(&puppet, "worker") == 0 && puppet_ask(&puppet, "subscribe") == 0 &&
			WAIT_UNTIL(WAIT_S, (thread = (int)puppet_ask(&puppet, "worker")) != 0),
		"who subscribes has a thread");
	link_ask(LINK_LAZY, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 100 + LINK_LAZY),
		"a change of level by the supervisor is told");
	link_ask(LINK_LAZY, LINK_FULL);
	tap_ok(!WAIT_UNTIL(1, puppet_ask(&puppet, "told") != 100 + LINK_LAZY),
		"a release alone is not");
	puppet_ask(&puppet, "floor 2");
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 200 + LINK_EAGER),
		"the process's own level is in force where it is the higher one");
	link_ask(LINK_FULL, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 300 + LINK_FULL),
		"the supervisor's where that is");
	link_ask(LINK_CALM, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 400 + LINK_EAGER) &&
			puppet_ask(&puppet, "level") == LINK_EAGER,
		"below its own it does not fall");
	puppet_ask(&puppet, "floor 0");
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 500 + LINK_CALM),
		"until that is taken back");
	/* Asleep for good on the supervisor's word, which a process must not change. */
	uint32_t sequence = play.header->sequence;
	CHECK(WAIT_UNTIL(WAIT_S, check_sleeps_for_good(puppet.pid, thread)));
	puppet_ask(&puppet, "floor 1");
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 600 + LINK_LAZY) &&
			play.header->sequence == sequence,
		"a thread that sleeps for good hears of it");
	puppet_ask(&puppet, "floor 0");
	link_ask(LINK_EAGER, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "level") == LINK_EAGER &&
					  puppet_ask(&puppet, "told") % 100 == LINK_EAGER),
		"the supervisor raises it again");
	heart_stop();
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") % 100 == LINK_CALM),
		"a supervisor that died leaves calm");
	tap_ok(puppet_end(&puppet), "the process ends well");
}

static void test_watch(void)
{
	char directory[] = "/tmp/spillway-test-XXXXXX";
	char path[64];
	long told = 0;
	int fd;

	link_make();
	unsetenv(LINK_ENVIRONMENT);
	CHECK(mkdtemp(directory) != NULL);
	snprintf(path, sizeof path, "%s/watch", directory);
	CHECK(mkfifo(path, 0600) == 0);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	setenv("MEMORY_PRESSURE_WATCH", path, 1);
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "subscribe");
	/* Told twice: its end may come before the question does. */
	tap_ok(write(fd, "x", 1) == 1 &&
			WAIT_UNTIL(WAIT_S, (told = puppet_ask(&puppet, "told")) >= 100) &&
			(told == 100 + LINK_EAGER || told == 200 + LINK_CALM),
		"an event of the service manager's watch is told");
	tap_ok(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "told") == 200 + LINK_CALM),
		"and its end, seconds later");
	tap_ok(puppet_end(&puppet), "the process ends well");
	unsetenv("MEMORY_PRESSURE_WATCH");
	close(fd);
	unlink(path);
	rmdir(directory);
}

int main(int count, char **arguments)
{
	player_init(count, arguments);
	test_live();
	test_told();
	test_watch();
	return player_done();
}
