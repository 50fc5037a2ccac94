#include "tests/preload/player.h"

#include <sys/resource.h>

#define IDLE_KIB 65536L

/* A puppet with IDLE_KIB idle in its heap and a thread at rest. */
static struct puppet idle_puppet(long *rss_before_kib)
{
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "idle 2048 65536");
	CHECK(WAIT_UNTIL(WAIT_S, puppet_ask(&puppet, "worker") != 0));
	*rss_before_kib = rss_kib(puppet.pid);
	puppet_ask(&puppet, "idle 65536 65536");
	return puppet;
}

static void test_join(void)
{
	link_make();
	struct puppet puppet = puppet_start();
	struct link_slot *slot = slot_of(puppet.pid);

	tap_ok(slot != NULL, "a process takes a slot as it starts");
	tap_ok(slot != NULL && slot->owner >> 32 == (uint32_t)slot->start_ticks &&
			slot->start_ticks != 0,
		"the owner's upper half is the start time");
	tap_ok(slot != NULL && slot->sequence_done == play.header->sequence,
		"what was asked before it came is no business of its");
	CHECK(slot != NULL);
	tap_ok(puppet_ask(&puppet, "worker") == 0 && slot->has_thread == 0,
		"a small process has no thread");
	puppet_ask(&puppet, "grow 20000");
	tap_ok(WAIT_UNTIL(WAIT_S, slot->has_thread == 1), "a grown process has one");
	tap_ok(WAIT_UNTIL(WAIT_S, slot->in_use_bytes >= 20000 * KIB),
		"the slot counts what is in use");
	puppet_ask(&puppet, "exec");
	tap_ok(slots_taken() == 1 && slot_of(puppet.pid) != NULL && slot->has_thread == 0,
		"exec keeps the one slot and starts it over");
	tap_ok(puppet_end(&puppet) && slots_taken() == 0, "the slot is free after an exit");
	puppet = puppet_start();
	kill(puppet.pid, SIGKILL);
	puppet_end(&puppet);
	tap_ok(slot_of(puppet.pid) != NULL,
		"the slot of a killed process is left to the supervisor");
}

static void test_lazy(void)
{
	long before_kib;
	link_make();
	struct puppet puppet = idle_puppet(&before_kib);
	struct link_slot *slot = slot_of(puppet.pid);
	uint32_t before = play.gate->notify;
	uint32_t sequence = link_ask(LINK_CALM, LINK_LAZY);

	tap_ok(WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence), "a lazy request is answered");
	tap_ok(play.gate->notify != before, "the answer notifies the supervisor");
	tap_ok(slot->lazy_bytes >= IDLE_KIB * KIB * 9 / 10, "lazy: idle memory is lazily freed");
	tap_ok(slot->released_lazy_bytes >= IDLE_KIB * KIB * 9 / 10 && slot->advise_calls > 0,
		"lazy: the slot counts it");
	/* Where memory is short the kernel has taken some of it by now. */
	tap_ok(rss_kib(puppet.pid) - lazyfree_kib(puppet.pid) - before_kib < IDLE_KIB / 10,
		"lazy: the kernel knows it");
	tap_ok(puppet_end(&puppet), "the process ends well");
}

static void test_release(uint32_t level, size_t block, const char *name)
{
	char command[64];
	char text[100];
	long before_kib;
	link_make();
	struct puppet puppet = idle_puppet(&before_kib);
	struct link_slot *slot = slot_of(puppet.pid);
	snprintf(command, sizeof command, "idle %ld %zu", IDLE_KIB, block);
	puppet_ask(&puppet, command);
	long idle_kib = rss_kib(puppet.pid) - before_kib;
	uint32_t sequence = link_ask(LINK_CALM, level);

	snprintf(text, sizeof text, "%s, blocks of %zu: the request is answered", name, block);
	tap_ok(WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence), text);
	long left_kib = rss_kib(puppet.pid) - before_kib;
	snprintf(text, sizeof text, "%s, blocks of %zu: RSS falls by 90 %% of what is idle", name,
		block);
	tap_ok(idle_kib > IDLE_KIB * 9 / 10 && left_kib < idle_kib / 10, text);
	printf("# idle %ld KiB, left %ld KiB\n", idle_kib, left_kib);
	snprintf(text, sizeof text, "%s, blocks of %zu: the slot counts it", name, block);
	tap_ok((level == LINK_EAGER ? slot->released_eager_bytes : slot->released_full_bytes) +
				slot->released_background_bytes >=
			IDLE_KIB * KIB * 9 / 10,
		text);
	puppet_end(&puppet);
}

/* The first of two processes is spared all, then a half of what is asked for. */
static void test_parts_of_a_target(void)
{
	long before_kib[2];
	long left_kib;
	link_make();
	struct puppet puppets[] = {idle_puppet(&before_kib[0]), idle_puppet(&before_kib[1])};
	struct link_slot *slot = slot_of(puppets[0].pid);
	struct link_slot *other = slot_of(puppets[1].pid);
	char command[64];
	snprintf(command, sizeof command, "idle %ld 1000", IDLE_KIB);
	for (int i = 0; i < 2; i++)
		puppet_ask(&puppets[i], command);
	long idle_kib = rss_kib(puppets[0].pid);

	play.header->spared[slot - play.slots] = LINK_SPARED_WHOLE;
	uint32_t sequence = link_ask_for(LINK_CALM, LINK_EAGER, UINT64_MAX);
	tap_ok(WAIT_UNTIL(
		       WAIT_S, slot->sequence_done == sequence && other->sequence_done == sequence),
		"a process that is asked for nothing answers as well");
	tap_ok(slot->released_eager_bytes == 0 && rss_kib(puppets[0].pid) > idle_kib * 9 / 10,
		"and gives nothing");
	tap_ok(rss_kib(puppets[1].pid) - before_kib[1] < IDLE_KIB / 10, "while the other does");

	play.header->spared[slot - play.slots] = LINK_SPARED_WHOLE / 2;
	sequence = link_ask_for(LINK_CALM, LINK_EAGER, IDLE_KIB * KIB);
	tap_ok(WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence),
		"a process is asked for a half of the target");
	left_kib = rss_kib(puppets[0].pid) - before_kib[0];
	tap_ok(left_kib > IDLE_KIB / 4 && left_kib < IDLE_KIB * 3 / 4, "and gives that much");
	printf("# of %ld KiB, left %ld KiB\n", IDLE_KIB, left_kib);
	for (int i = 0; i < 2; i++)
		puppet_end(&puppets[i]);
}

static void test_requests_in_a_row(void)
{
	long before_kib;
	link_make();
	struct puppet puppet = idle_puppet(&before_kib);
	struct link_slot *slot = slot_of(puppet.pid);

	link_ask(LINK_CALM, LINK_LAZY);
	uint32_t sequence = link_ask(LINK_CALM, LINK_FULL);
	tap_ok(WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence) &&
			rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10,
		"the later of two requests is answered when both are dealt with");
	sequence = link_ask(LINK_LAZY, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence),
		"a mere change of level counts too");
	puppet_end(&puppet);
}

/* Requests of every level, and a tight gate, while threads use the heap and one forks. */
static void test_requests_under_use(void)
{
	static const uint32_t levels[] = {LINK_LAZY, LINK_FULL, LINK_EAGER, LINK_FULL};
	uint32_t answered = 0;
	uint32_t sequence;
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "grow 4096");
	WAIT_UNTIL(WAIT_S, slot_of(puppet.pid) != NULL && slot_of(puppet.pid)->has_thread == 1);
	struct link_slot *slot = slot_of(puppet.pid);
	CHECK(slot != NULL);
	puppet_send(&puppet, "churn");
	for (; answered < 200; answered++) {
		play.header->gate_wait_ms = 2;
		play.gate->credit_bytes = answered % 3 == 0 ? 64 * KIB : UINT64_MAX;
		sequence = link_ask(answered / 8 % LINK_LEVELS, levels[answered % 4]);
		if (!WAIT_UNTIL(WAIT_S, slot->sequence_done == sequence))
			break;
	}
	player_diag("requests", answered);
	player_diag("released MiB", (slot->released_lazy_bytes + slot->released_eager_bytes +
					    slot->released_full_bytes) /
					    MIB);
	puppet_send(&puppet, "enough");
	tap_ok(answered == 200, "every request is answered while the heap is in use");
	tap_ok(strcmp(puppet_hear(&puppet), "done") == 0 && puppet_end(&puppet),
		"and no block loses what was written to it");
}

static void test_level_in_force(void)
{
	long before_kib;
	link_make();
	struct puppet puppet = idle_puppet(&before_kib);

	link_ask(LINK_EAGER, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10),
		"a level in force takes what is idle");
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(WAIT_UNTIL(WAIT_S, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10),
		"and what becomes idle while it lasts");
	link_ask(77, 99);
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(!WAIT_UNTIL(1, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 2),
		"an impossible level is calm");
	link_ask(LINK_CALM, LINK_CALM);
	puppet_ask(&puppet, "idle 65536 65536");
	heart_stop();
	link_ask(LINK_EAGER, LINK_CALM);
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(!WAIT_UNTIL(1, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 2),
		"a level that nobody attends is calm");
	puppet_end(&puppet);
}

static void test_fork(void)
{
	link_make();
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "grow 20000");
	pid_t child = (pid_t)puppet_ask(&puppet, "fork");
	tap_ok(slots_taken() == 1, "a forked child has no slot at first");
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(WAIT_UNTIL(WAIT_S, slot_of(child) != NULL && slot_of(child)->has_thread == 1),
		"it takes its own, and a thread, when it has grown");
	tap_ok(slot_of(puppet.pid) != NULL && slot_of(puppet.pid) != slot_of(child),
		"the parent keeps its slot");
	uint32_t sequence = link_ask(LINK_CALM, LINK_EAGER);
	tap_ok(WAIT_UNTIL(WAIT_S, slot_of(child)->sequence_done == sequence &&
					  slot_of(puppet.pid)->sequence_done == sequence),
		"both answer requests");
	tap_ok(puppet_end(&puppet) && slots_taken() <= 1, "both end well");
}

/* A process waits 100 ms for the descriptor.  An answer that came later, since this program did not
 * get to run, is no answer: then all is done again. */
#define ANSWER_S 0.1

static void test_socket(void)
{
	char command[64];
	double start_s;
	bool asked;
	bool ready;
	bool late;
	link_make();
	struct puppet puppet = puppet_start();

	snprintf(command, sizeof command, "exec-closed %d", play.fd[LINK_FILE_HEADER]);
	do {
		struct link_slot *old = slot_of(puppet.pid);

		if (old != NULL)
			atomic_store(&old->owner, 0);
		start_s = check_now_s();
		puppet_send(&puppet, "%s", command);
		asked = WAIT_UNTIL(WAIT_S, link_answer());
		late = check_now_s() - start_s > ANSWER_S;
		ready = strcmp(puppet_hear(&puppet), "ready") == 0;
	} while (late && asked && ready);
	tap_ok(asked, "without the descriptor it asks with the token");
	tap_ok(ready && slot_of(puppet.pid) != NULL, "and joins with the answer");
	struct link_slot *lost = slot_of(puppet.pid);
	CHECK(lost != NULL);
	atomic_store(&lost->owner, 1);
	atomic_store(&lost->in_use_bytes, 0);
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(!WAIT_UNTIL(1.5, atomic_load(&lost->in_use_bytes) != 0),
		"a slot that was given away is not written to again");
	tap_ok(WAIT_UNTIL(WAIT_S, slot_of(puppet.pid) != NULL), "another is taken in its place");
	puppet_send(&puppet, "%s", command);
	ready = strcmp(puppet_hear(&puppet), "ready") == 0;
	/* What the program before exec had. */
	atomic_store(&lost->owner, 0);
	for (struct link_slot *old = slot_of(puppet.pid); old != NULL; old = slot_of(puppet.pid))
		atomic_store(&old->owner, 0);
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(ready && slots_taken() == 0, "without an answer it runs alone");
	tap_ok(puppet_end(&puppet), "the process ends well");
}

/* A link that must be refused: the puppet works and takes no slot. */
static void test_refused(const char *name)
{
	struct puppet puppet = puppet_start();

	puppet_ask(&puppet, "idle 4096 65536");
	bool none = slots_taken() == 0;
	tap_ok(puppet_end(&puppet) && none, name);
}

/* The link with another file in the place of one of its own. */
static void refuse_file(enum link_file which, int fd, const char *name)
{
	int files[LINK_FILES] = {play.fd[0], play.fd[1]};
	char text[128];

	files[which] = fd;
	link_name(files);
	snprintf(text, sizeof text, "%s: %s", which == LINK_FILE_HEADER ? "header" : "slots", name);
	test_refused(text);
}

static void test_refused_file(enum link_file which, size_t bytes)
{
	int ends[2];
	int fd;

	link_make();
	fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
	CHECK(ftruncate(fd, (off_t)bytes) == 0);
	CHECK(pwrite(fd, play.header, LINK_HEADER_BYTES, 0) == LINK_HEADER_BYTES);
	refuse_file(which, fd, "a file that may shrink is refused");
	CHECK(ftruncate(fd, (off_t)bytes / 2) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	refuse_file(which, fd, "a short file is refused");
	close(fd);
	CHECK(pipe(ends) == 0);
	refuse_file(which, ends[0], "a pipe is refused");
	close(ends[0]);
	close(ends[1]);
}

static void test_refusals(void)
{
	link_make();
	play.header->magic++;
	test_refused("another magic is refused");
	link_make();
	play.header->version++;
	test_refused("another version is refused");
	test_refused_file(LINK_FILE_HEADER, LINK_HEADER_BYTES);
	test_refused_file(LINK_FILE_SLOTS, LINK_BYTES);
}

/* What a process of the service that is not to be trusted may do to the others. */
static void test_gate_that_others_write(void)
{
	link_make();
	play.header->gate_limited = 0;
	play.header->gate_wait_ms = 10000;
	play.gate->credit_bytes = 0;
	struct puppet puppet = puppet_start();
	struct link_slot *slot = slot_of(puppet.pid);

	puppet_ask(&puppet, "grow 20000");
	tap_ok(slot != NULL && slot->gate_waits == 0,
		"credit that somebody took away makes nobody wait while the header limits nothing");
	tap_ok(puppet_end(&puppet), "the process ends well");
}

static void test_storm(void)
{
	struct puppet puppets[24];
	uint32_t taken = 0;

	link_make();
	for (int i = 0; i < 24; i++)
		puppets[i] = puppet_start_by(NULL);
	for (int i = 0; i < 24; i++) {
		CHECK(strcmp(puppet_hear(&puppets[i]), "ready") == 0);
		taken += slot_of(puppets[i].pid) != NULL;
	}
	tap_ok(taken == 24 && slots_taken() == 24, "two dozen that start at once take a slot each");
	for (int i = 0; i < 24; i++) {
		close(puppets[i].in);
		puppets[i].in = -1;
	}
	taken = 0;
	for (int i = 0; i < 24; i++)
		taken += puppet_end(&puppets[i]);
	tap_ok(taken == 24 && slots_taken() == 0, "and free it when they end at once");
}

static void test_sleep(void)
{
	long before_kib;
	link_make();
	atomic_store(&play.header->scavenge, LINK_SCAVENGE_ADAPTIVE);
	struct puppet puppet = idle_puppet(&before_kib);
	int thread = (int)puppet_ask(&puppet, "worker");
	long before;

	tap_ok(WAIT_UNTIL(40, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10),
		"at calm what idled for some seconds goes by itself");
	tap_ok(WAIT_UNTIL(40, check_sleeps_for_good(puppet.pid, thread)),
		"then the thread sleeps without a deadline");
	before = check_wakeups(puppet.pid, thread);
	nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	tap_ok(before > 0 && before == check_wakeups(puppet.pid, thread), "and does not wake");
	puppet_ask(&puppet, "idle 65536 65536");
	tap_ok(WAIT_UNTIL(40, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10),
		"until the heap is used again");
	puppet_end(&puppet);
}

static void test_foreign_namespace(void)
{
	long before_kib;
	link_make();
	play.header->pid_namespace++;
	struct puppet puppet = idle_puppet(&before_kib);

	tap_ok(slots_taken() == 0, "a process of another pid namespace takes no slot");
	link_ask(LINK_EAGER, LINK_CALM);
	tap_ok(WAIT_UNTIL(WAIT_S, rss_kib(puppet.pid) - before_kib < IDLE_KIB / 10),
		"but follows the level");
	puppet_end(&puppet);
}

static void forbid_threads(void)
{
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}) == 0);
}

static void test_without_thread(void)
{
	link_make();
	struct puppet puppet = puppet_start_by(forbid_threads);
	CHECK(strcmp(puppet_hear(&puppet), "ready") == 0);
	puppet_ask(&puppet, "idle 65536 65536");
	struct link_slot *slot = slot_of(puppet.pid);
	tap_ok(slot != NULL && slot->has_thread == 0,
		"where no thread may be there is still a slot");
	uint32_t sequence = link_ask(LINK_CALM, LINK_EAGER);
	tap_ok(slot != NULL && WAIT_UNTIL(WAIT_S, (puppet_ask(&puppet, "grow 70000"),
							  puppet_ask(&puppet, "drop"),
							  slot->sequence_done == sequence)),
		"growth does the scavenger's work");
	tap_ok(puppet_end(&puppet), "the process ends well");
}

/* Each byte that arrives at the watched end is an event. */
static void test_event(struct puppet *puppet, int fd, long before_kib, const char *name)
{
	puppet_ask(puppet, "idle 65536 65536");
	tap_ok(rss_kib(puppet->pid) - before_kib > IDLE_KIB / 2 && write(fd, "x", 1) == 1 &&
			WAIT_UNTIL(WAIT_S, rss_kib(puppet->pid) - before_kib < IDLE_KIB / 10),
		name);
	tap_ok(puppet_end(puppet), "the process ends well");
}

static int threads_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return (int)check_proc_number(path, "Threads", 10);
}

static void test_pressure_watch(void)
{
	char directory[] = "/tmp/spillway-test-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char said[16] = "";
	struct puppet puppet;
	long before_kib;
	int listener;
	int fd;

	link_make();
	/* What idles goes by an event alone. */
	setenv("SPILLWAY_SCAVENGE", "off", 1);
	CHECK(mkdtemp(directory) != NULL);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/watch", directory);
	setenv("MEMORY_PRESSURE_WATCH", address.sun_path, 1);

	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
	CHECK(listen(listener, 1) == 0);
	puppet = idle_puppet(&before_kib);
	tap_ok(threads_of(puppet.pid) == 2, "under the supervisor nothing else is watched");
	puppet_end(&puppet);
	unsetenv(LINK_ENVIRONMENT);
	setenv("MEMORY_PRESSURE_WRITE", "aGVsbG8A", 1);
	puppet = idle_puppet(&before_kib);
	WAIT_UNTIL(WAIT_S, (fd = accept(listener, NULL, NULL)) >= 0);
	tap_ok(fd >= 0 && WAIT_UNTIL(WAIT_S, recv(fd, said, sizeof said, MSG_DONTWAIT) == 6) &&
			strcmp(said, "hello") == 0,
		"alone, it writes what the service manager wants written");
	test_event(&puppet, fd, before_kib, "an event of a socket releases what is idle");
	close(fd);
	close(listener);
	unlink(address.sun_path);

	CHECK(mkfifo(address.sun_path, 0600) == 0);
	fd = open(address.sun_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	unsetenv("MEMORY_PRESSURE_WRITE");
	puppet = idle_puppet(&before_kib);
	test_event(&puppet, fd, before_kib, "an event of a pipe releases what is idle");
	close(fd);
	unlink(address.sun_path);
	rmdir(directory);

	setenv("MEMORY_PRESSURE_WATCH", "/proc/pressure/memory", 1);
	setenv("MEMORY_PRESSURE_WRITE", "c29tZSAyMDAwMDAgMjAwMDAwMAA=", 1);
	puppet = idle_puppet(&before_kib);
	tap_ok(puppet_end(&puppet), "a trigger of the kernel does no harm");
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");
	unsetenv("SPILLWAY_SCAVENGE");
}

int main(int count, char **arguments)
{
	player_init(count, arguments);
	test_join();
	test_lazy();
	test_release(LINK_EAGER, 65536, "eager");
	test_release(LINK_EAGER, 2000000, "eager");
	test_release(LINK_FULL, 500, "full");
	test_parts_of_a_target();
	test_requests_in_a_row();
	test_requests_under_use();
	test_level_in_force();
	test_fork();
	test_socket();
	test_refusals();
	test_gate_that_others_write();
	test_foreign_namespace();
	test_storm();
	test_sleep();
	if (getuid() == 0)
		test_without_thread();
	test_pressure_watch();
	return player_done();
}
