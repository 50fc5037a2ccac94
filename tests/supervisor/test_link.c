#include "supervisor/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/link/link_slots.h"
#include "tests/support/fake_tree.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define MIB ((uint64_t)1024 * 1024)

/* What a shim does: maps the descriptor that it was given. */
struct peer {
	struct link *link;
	const struct link_header *header;
	struct link_gate *gate;
	struct link_slot *slot;
	struct fake_tree proc;
	uint64_t now_ms;
};

static int setup(void **state)
{
	struct peer *peer = calloc(1, sizeof *peer);
	assert_int_equal(link_open("web", NULL, &peer->link), 0);
	const int *fd = link_fds(peer->link);
	peer->header =
		mmap(NULL, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED, fd[LINK_FILE_HEADER], 0);
	assert_ptr_not_equal(peer->header, MAP_FAILED);
	peer->gate =
		mmap(NULL, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[LINK_FILE_SLOTS], 0);
	assert_ptr_not_equal(peer->gate, MAP_FAILED);
	peer->slot = (void *)((char *)peer->gate + LINK_PAGE_BYTES);
	fake_tree_open(&peer->proc);
	peer->now_ms = 1000;
	*state = peer;
	return 0;
}

static int teardown(void **state)
{
	struct peer *peer = *state;
	munmap((void *)peer->header, LINK_HEADER_BYTES);
	munmap(peer->gate, LINK_BYTES);
	link_close(peer->link);
	fake_tree_close(&peer->proc);
	free(peer);
	return 0;
}

static void write_process(struct peer *peer, unsigned pid, const char *name, char run,
	unsigned threads, uint64_t start_ticks)
{
	char path[64];
	char text[256];
	snprintf(path, sizeof path, "%u/stat", pid);
	snprintf(text, sizeof text,
		"%u (%s) %c 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 %u 0 %llu 9\n", pid, name, run,
		threads, (unsigned long long)start_ticks);
	fake_tree_write(&peer->proc, path, text);
}

static struct link_slot *take(struct peer *peer, size_t index, unsigned pid, uint64_t start_ticks)
{
	struct link_slot *slot = &peer->slot[index];
	write_process(peer, pid, "web", 'S', 3, start_ticks);
	slot->owner = start_ticks << 32 | pid;
	slot->version = LINK_VERSION;
	slot->start_ticks = start_ticks;
	slot->has_thread = 1;
	slot->sequence_done = peer->header->sequence;
	return slot;
}

static struct link_totals read_totals(struct peer *peer)
{
	struct link_totals totals;
	peer->now_ms += LINK_SLOTS_REST_MS;
	link_read(peer->link, peer->proc.fd, peer->now_ms, &totals);
	return totals;
}

static void test_the_files_are_sealed_and_their_numbers_are_high(void **state)
{
	struct peer *peer = *state;
	static const off_t bytes[LINK_FILES] = {LINK_HEADER_BYTES, LINK_BYTES};
	for (size_t i = 0; i < LINK_FILES; i++) {
		int fd = link_fds(peer->link)[i];
		struct stat status;
		assert_true(fd >= 200);
		assert_int_equal(fstat(fd, &status), 0);
		assert_int_equal(status.st_size, bytes[i]);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(ftruncate(fd, bytes[i] * 2), -1);
		assert_int_equal(
			fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	assert_int_equal(peer->header->magic, LINK_MAGIC);
	assert_int_equal(peer->header->version, LINK_VERSION);
	assert_int_equal(peer->header->supervisor_pid, getpid());
	assert_true(peer->header->pid_namespace != 0);
	assert_true(peer->gate->credit_bytes == UINT64_MAX);
	assert_true(peer->gate->notice_bytes == UINT64_MAX);
	assert_int_equal(peer->header->gate_limited, 0);
}

/* Whether any way leads from the descriptor to writing what is behind it. */
static bool can_be_written(int fd)
{
	uint32_t word = 1;
	char path[32];
	void *map = mmap(NULL, LINK_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool can = map != MAP_FAILED || pwrite(fd, &word, sizeof word, 0) >= 0 ||
		   fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   LINK_HEADER_BYTES) == 0;
	if (map != MAP_FAILED)
		munmap(map, LINK_HEADER_BYTES);
	map = mmap(NULL, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	can |= mprotect(map, LINK_HEADER_BYTES, PROT_READ | PROT_WRITE) == 0;
	munmap(map, LINK_HEADER_BYTES);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return can;
	map = mmap(NULL, LINK_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	can |= map != MAP_FAILED || pwrite(again, &word, sizeof word, 0) >= 0;
	if (map != MAP_FAILED)
		munmap(map, LINK_HEADER_BYTES);
	close(again);
	return can;
}

static void test_nobody_else_writes_the_header(void **state)
{
	struct peer *peer = *state;
	assert_true(can_be_written(link_fds(peer->link)[LINK_FILE_SLOTS]));
	assert_false(can_be_written(link_fds(peer->link)[LINK_FILE_HEADER]));
	link_set_level(peer->link, LEVEL_EAGER);
	assert_int_equal(peer->header->level, LINK_EAGER);
}

/* The kernel as it was before 5.1, to this process: fcntl knows no F_SEAL_FUTURE_WRITE. */
static bool forget_the_seal(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_ADD_SEALS, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, F_SEAL_FUTURE_WRITE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a process of its own: the filter stays. */
static int old_kernel_run(void)
{
	struct link *link;
	if (!forget_the_seal() || link_open("web", NULL, &link) != 0)
		return 2;
	int fd = link_fds(link)[LINK_FILE_HEADER];
	if (fd < 200 || (fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE) != 0)
		return 3;
	link_set_level(link, LEVEL_FULL);
	/* As the service's user; where we are none but ourselves, the descriptor only. */
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 4;
	if (geteuid() != 65534)
		return mmap(NULL, LINK_HEADER_BYTES, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
	return can_be_written(fd);
}

static void test_on_an_old_kernel_no_other_user_writes_the_header(void **state)
{
	int status;
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(old_kernel_run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_the_environment_names_the_files(void **state)
{
	struct peer *peer = *state;
	char value[LINK_VALUE_BYTES];
	char small[8];
	unsigned version;
	int fd[2];
	unsigned long long device[2];
	unsigned long long inode[2];
	char socket[128];
	char token[64];
	assert_int_equal(link_environment(peer->link, value, sizeof value), 0);
	assert_int_equal(
		sscanf(value, "%u:%d:%llu:%llu:%d:%llu:%llu:%127[^:]:%63s", &version, &fd[0],
			&device[0], &inode[0], &fd[1], &device[1], &inode[1], socket, token),
		9);
	assert_int_equal(version, LINK_VERSION);
	for (size_t i = 0; i < LINK_FILES; i++) {
		struct stat status;
		assert_int_equal(fd[i], link_fds(peer->link)[i]);
		assert_int_equal(fstat(fd[i], &status), 0);
		assert_true(device[i] == status.st_dev && inode[i] == status.st_ino);
	}
	assert_int_equal(strlen(token), LINK_TOKEN_CHARS);
	assert_int_equal(strspn(token, "0123456789abcdef"), LINK_TOKEN_CHARS);
	assert_true(link_environment(peer->link, small, sizeof small) < 0);
}

static void test_an_empty_link_is_not_made_bigger_by_reading(void **state)
{
	struct peer *peer = *state;
	struct stat before;
	struct stat after;
	assert_int_equal(fstat(link_fds(peer->link)[LINK_FILE_SLOTS], &before), 0);
	struct link_totals totals = read_totals(peer);
	assert_int_equal(fstat(link_fds(peer->link)[LINK_FILE_SLOTS], &after), 0);
	assert_int_equal(totals.heap.processes, 0);
	assert_true(totals.heap.answered);
	assert_int_equal(before.st_blocks, after.st_blocks);
}

static void test_slots_of_live_processes_are_summed(void **state)
{
	struct peer *peer = *state;
	struct link_slot *a = take(peer, 0, 100, 7000);
	struct link_slot *b = take(peer, 500, 101, UINT64_C(0x100000005));
	a->in_use_bytes = 10;
	b->in_use_bytes = 20;
	a->idle_dirty_bytes = 3;
	b->lazy_bytes = 4;
	b->wants_bytes = 5;
	a->released_background_bytes = 1;
	a->released_growth_bytes = 2;
	b->released_lazy_bytes = 4;
	b->released_eager_bytes = 8;
	a->released_full_bytes = 16;
	a->gate_waits = 9;
	a->refault_bytes = 50;
	b->refault_touched_bytes = 40;
	a->regret_release_bytes = 30;
	b->regret_release_bytes = 3;
	a->regret_hold_bytes = 20;
	b->background_cpu_ns = 60;
	/* How long is no amount. */
	a->break_even_ns = 70;
	b->break_even_ns = 80;
	struct link_totals totals = read_totals(peer);
	assert_int_equal(totals.heap.processes, 2);
	assert_int_equal(totals.threads, 2);
	assert_int_equal(totals.heap.in_use_bytes, 30);
	assert_int_equal(totals.heap.idle_dirty_bytes, 3);
	assert_int_equal(totals.heap.lazy_bytes, 4);
	assert_int_equal(totals.heap.wants_bytes, 5);
	assert_int_equal(totals.heap.released_bytes, 31);
	assert_int_equal(totals.figures.released_eager_bytes, 8);
	assert_int_equal(totals.figures.gate_waits, 9);
	assert_int_equal(totals.figures.refault_bytes, 50);
	assert_int_equal(totals.figures.refault_touched_bytes, 40);
	assert_int_equal(totals.figures.regret_release_bytes, 33);
	assert_int_equal(totals.figures.regret_hold_bytes, 20);
	assert_int_equal(totals.figures.background_cpu_ns, 60);
	assert_int_equal(totals.figures.break_even_ns, 80);
	assert_true(link_has_process(peer->link, 101));
	assert_false(link_has_process(peer->link, 102));
}

static void test_dead_processes_lose_their_slot_and_keep_their_totals(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	slot->in_use_bytes = 10;
	slot->released_eager_bytes = 100;
	assert_int_equal(read_totals(peer).heap.released_bytes, 100);
	/* What it did last is not lost with it. */
	slot->released_eager_bytes = 150;
	slot->regret_hold_bytes = 11;
	slot->break_even_ns = 5;
	unlinkat(peer->proc.fd, "100/stat", 0);
	struct link_totals totals = read_totals(peer);
	assert_int_equal(totals.heap.processes, 0);
	assert_int_equal(totals.heap.in_use_bytes, 0);
	assert_int_equal(totals.heap.released_bytes, 150);
	assert_int_equal(totals.figures.regret_hold_bytes, 11);
	assert_int_equal(totals.figures.break_even_ns, 0);
	assert_true(slot->owner == 0);
	assert_false(link_has_process(peer->link, 100));
	/* The next one in the same slot adds to that. */
	slot = take(peer, 0, 200, 9000);
	slot->released_eager_bytes = 7;
	assert_int_equal(read_totals(peer).heap.released_bytes, 157);
}

static void test_a_pid_that_is_somebody_elses_by_now_is_dead(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 3, 100, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 1);
	write_process(peer, 100, "sshd", 'S', 1, 7001);
	assert_int_equal(read_totals(peer).heap.processes, 0);
	assert_true(slot->owner == 0);
}

static void test_zombies_are_dead_unless_threads_live_on(void **state)
{
	struct peer *peer = *state;
	take(peer, 0, 100, 7000);
	write_process(peer, 100, "a) R 1 (b", 'Z', 4, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 1);
	write_process(peer, 100, "a) R 1 (b", 'Z', 1, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 0);
}

static void test_known_processes_are_looked_up_rarely_or_on_suspicion(void **state)
{
	struct peer *peer = *state;
	struct link_totals totals;
	take(peer, 0, 100, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 1);
	unlinkat(peer->proc.fd, "100/stat", 0);
	link_read(peer->link, peer->proc.fd, peer->now_ms + 100, &totals);
	assert_int_equal(totals.heap.processes, 1);
	link_suspect(peer->link);
	link_read(peer->link, peer->proc.fd, peer->now_ms + 101, &totals);
	assert_int_equal(totals.heap.processes, 0);
}

static void test_processes_are_looked_up_more_often_while_a_release_is_out(void **state)
{
	struct peer *peer = *state;
	struct link_totals totals;
	take(peer, 0, 100, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 1);
	unlinkat(peer->proc.fd, "100/stat", 0);
	link_read(peer->link, peer->proc.fd, peer->now_ms + LINK_SLOTS_TRUST_MS, &totals);
	assert_int_equal(totals.heap.processes, 1);
	link_ask(peer->link, LEVEL_EAGER, UINT64_MAX);
	link_read(peer->link, peer->proc.fd, peer->now_ms + LINK_SLOTS_TRUST_MS, &totals);
	assert_int_equal(totals.heap.processes, 0);
	assert_true(totals.heap.answered);
}

static void test_slots_of_a_page_that_came_later_are_seen(void **state)
{
	struct peer *peer = *state;
	take(peer, 0, 100, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 1);
	take(peer, LINK_PAGE_BYTES / LINK_SLOT_BYTES, 101, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 2);
	take(peer, LINK_SLOTS - 1, 102, 7000);
	assert_int_equal(read_totals(peer).heap.processes, 3);
	assert_int_equal(read_totals(peer).heap.processes, 3);
}

static void test_a_slot_that_is_being_taken_does_not_count_yet(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	slot->start_ticks = 0;
	slot->in_use_bytes = 10;
	assert_int_equal(read_totals(peer).heap.processes, 0);
	slot->start_ticks = 7000;
	assert_int_equal(read_totals(peer).heap.in_use_bytes, 10);
}

static void test_totals_stay_while_a_slot_is_not_whole(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 5000);
	slot->released_full_bytes = 100;
	assert_int_equal(read_totals(peer).heap.released_bytes, 100);
	slot->start_ticks = 0;
	struct link_totals totals = read_totals(peer);
	assert_int_equal(totals.heap.released_bytes, 100);
	assert_int_equal(totals.heap.processes, 0);
	slot->start_ticks = 5000;
	slot->version = LINK_VERSION + 1;
	assert_int_equal(read_totals(peer).heap.released_bytes, 100);
	slot->version = LINK_VERSION;
	assert_int_equal(read_totals(peer).heap.released_bytes, 100);
}

static void test_exec_starts_the_counters_anew_and_the_totals_go_on(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	slot->released_full_bytes = 100;
	assert_int_equal(read_totals(peer).heap.released_bytes, 100);
	slot->released_full_bytes = 30;
	slot->regret_release_bytes = 6;
	assert_int_equal(read_totals(peer).heap.released_bytes, 130);
	slot->regret_release_bytes = 2;
	assert_int_equal(read_totals(peer).figures.regret_release_bytes, 8);
	slot->released_full_bytes = 40;
	assert_int_equal(read_totals(peer).heap.released_bytes, 140);
}

static void test_lies_saturate_and_totals_never_fall(void **state)
{
	struct peer *peer = *state;
	struct link_slot *a = take(peer, 0, 100, 7000);
	struct link_slot *b = take(peer, 1, 101, 7000);
	uint64_t last = 0;
	memset((char *)a + offsetof(struct link_slot, in_use_bytes), 0xff,
		offsetof(struct link_slot, version) - offsetof(struct link_slot, in_use_bytes));
	b->in_use_bytes = 1000;
	struct link_totals totals = read_totals(peer);
	assert_true(totals.heap.in_use_bytes == UINT64_MAX);
	assert_true(totals.heap.released_bytes == UINT64_MAX);
	b->regret_hold_bytes = 1000;
	assert_true(read_totals(peer).figures.regret_hold_bytes == UINT64_MAX);
	for (unsigned i = 0; i < 100; i++) {
		a->released_full_bytes = (uint64_t)i * 0x9e3779b97f4a7c15U;
		b->released_lazy_bytes = (uint64_t)(i % 7) << 61;
		totals = read_totals(peer);
		assert_true(totals.heap.released_bytes >= last);
		last = totals.heap.released_bytes;
	}
}

static void test_owners_without_a_process_are_freed_wherever_they_stand(void **state)
{
	struct peer *peer = *state;
	for (size_t i = 0; i < LINK_SLOTS; i++) {
		peer->slot[i].owner = (i + 1) * 0x10001U;
		peer->slot[i].start_ticks = 1;
	}
	for (size_t i = 0; i < LINK_SLOTS / LINK_SLOTS_FRESH; i++)
		assert_int_equal(read_totals(peer).heap.processes, 0);
	for (size_t i = 0; i < LINK_SLOTS; i++)
		assert_true(peer->slot[i].owner == 0);
}

/* Each look is a file of /proc. */
static void test_new_owners_are_looked_up_at_a_bounded_rate(void **state)
{
	struct peer *peer = *state;
	struct link_totals totals;
	size_t left = 0;
	for (size_t i = 0; i < LINK_SLOTS; i++)
		peer->slot[i].owner = (i + 1) * 0x10001U;
	peer->now_ms += LINK_SLOTS_REST_MS;
	for (unsigned ms = 0; ms < LINK_SLOTS_TRUST_MS; ms += 10)
		link_read(peer->link, peer->proc.fd, peer->now_ms + ms, &totals);
	for (size_t i = 0; i < LINK_SLOTS; i++)
		left += peer->slot[i].owner != 0;
	assert_int_equal(left, LINK_SLOTS - LINK_SLOTS_FRESH);
}

static void test_a_slot_of_another_version_does_not_count(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	slot->version = LINK_VERSION + 1;
	slot->in_use_bytes = 10;
	slot->has_thread = 1;
	slot->sequence_done = 0;
	link_ask(peer->link, LEVEL_FULL, 1);
	struct link_totals totals = read_totals(peer);
	assert_int_equal(totals.heap.processes, 0);
	assert_int_equal(totals.heap.in_use_bytes, 0);
	assert_true(totals.heap.answered);
	slot->version = LINK_VERSION;
	assert_int_equal(read_totals(peer).heap.in_use_bytes, 10);
}

static void test_a_slot_says_what_its_process_allocates_with(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 3, 41, 100);
	assert_int_equal(link_process_allocator(peer->link, 41), LINK_ALLOCATOR_SPILLWAY);
	atomic_store(&slot->allocator, LINK_ALLOCATOR_JEMALLOC);
	read_totals(peer);
	assert_int_equal(link_process_allocator(peer->link, 41), LINK_ALLOCATOR_JEMALLOC);
	assert_string_equal(link_allocator_name(LINK_ALLOCATOR_JEMALLOC), "jemalloc");
	assert_int_equal(link_process_allocator(peer->link, 42), LINK_ALLOCATOR_SPILLWAY);
	/* What nobody knows. */
	atomic_store(&slot->allocator, LINK_ALLOCATORS);
	assert_int_equal(link_process_allocator(peer->link, 41), LINK_ALLOCATOR_SPILLWAY);
	atomic_store(&slot->allocator, UINT64_MAX);
	assert_int_equal(link_process_allocator(peer->link, 41), LINK_ALLOCATOR_SPILLWAY);
}

static void test_a_release_is_answered_when_all_with_a_thread_have_done_it(void **state)
{
	struct peer *peer = *state;
	struct link_slot *a = take(peer, 0, 100, 7000);
	struct link_slot *b = take(peer, 1, 101, 7000);
	struct link_slot *c = take(peer, 2, 102, 7000);
	c->has_thread = 0;
	assert_true(read_totals(peer).heap.answered);
	uint32_t sequence = link_ask(peer->link, LEVEL_FULL, 4096);
	assert_int_equal(peer->header->sequence, sequence);
	assert_int_equal(peer->header->release_level, LINK_FULL);
	assert_int_equal(peer->header->target_bytes, 4096);
	assert_false(read_totals(peer).heap.answered);
	a->sequence_done = sequence;
	assert_false(read_totals(peer).heap.answered);
	b->sequence_done = sequence + 5;
	assert_true(read_totals(peer).heap.answered);
}

static void test_one_that_died_before_it_answered_is_not_waited_for(void **state)
{
	struct peer *peer = *state;
	struct link_slot *a = take(peer, 0, 100, 7000);
	struct link_totals totals;
	take(peer, 1, 101, 7000);
	assert_true(read_totals(peer).heap.answered);
	a->sequence_done = link_ask(peer->link, LEVEL_FULL, 4096);
	unlinkat(peer->proc.fd, "101/stat", 0);
	link_read(peer->link, peer->proc.fd, peer->now_ms + LINK_SLOTS_SILENT_MS - 1, &totals);
	assert_false(totals.heap.answered);
	link_read(peer->link, peer->proc.fd, peer->now_ms + LINK_SLOTS_SILENT_MS, &totals);
	assert_true(totals.heap.answered);
	assert_int_equal(totals.heap.processes, 1);
}

/* A process that has given back 10 MiB, of which again_mib were wanted again, and holds 20 idle. */
static void fill_giver(struct link_slot *slot, uint64_t again_mib)
{
	slot->released_eager_bytes = 10 * MIB;
	slot->advise_ns = 768000;
	slot->fault_page_ns = 1600;
	slot->refault_touched_bytes = again_mib * MIB;
	slot->idle_dirty_bytes = 12 * MIB;
	slot->lazy_bytes = 8 * MIB;
}

/* The process of that slot is to give so much, by what the header says. */
static void assert_part(const struct peer *peer, size_t index, uint64_t expected_bytes)
{
	uint64_t bytes = peer->header->target_bytes / LINK_SPARED_WHOLE *
			 (LINK_SPARED_WHOLE - peer->header->spared[index]);
	uint64_t far_bytes =
		bytes > expected_bytes ? bytes - expected_bytes : expected_bytes - bytes;
	assert_true(far_bytes < MIB / 100);
	assert_true((bytes == 0) == (expected_bytes == 0));
}

static void test_processes_where_a_page_costs_least_are_asked_first(void **state)
{
	struct peer *peer = *state;
	fill_giver(take(peer, 0, 100, 7000), 9);
	fill_giver(take(peer, 1, 101, 7000), 0);
	fill_giver(take(peer, 2, 102, 7000), 0);
	take(peer, 3, 103, 7000);
	read_totals(peer);
	link_ask(peer->link, LEVEL_EAGER, 30 * MIB);
	assert_int_equal(link_spared_processes(peer->link), 2);
	assert_part(peer, 0, 0);
	assert_part(peer, 1, 15 * MIB);
	assert_part(peer, 2, 15 * MIB);
	assert_part(peer, 3, 0);
	/* What the cheap ones do not have is asked of the dear one. */
	link_ask(peer->link, LEVEL_EAGER, 50 * MIB);
	assert_int_equal(link_spared_processes(peer->link), 1);
	assert_part(peer, 0, 10 * MIB);
	/* Lazily freed memory is nothing that lazy could find. */
	link_ask(peer->link, LEVEL_LAZY, 30 * MIB);
	assert_part(peer, 0, 6 * MIB);
	/* One that has no thread does not answer. */
	peer->slot[1].has_thread = 0;
	read_totals(peer);
	link_ask(peer->link, LEVEL_EAGER, 30 * MIB);
	assert_part(peer, 0, 10 * MIB);
	assert_part(peer, 1, 0);
	assert_part(peer, 2, 20 * MIB);
}

static void test_all_are_asked_for_all_where_what_they_hold_does_not_do(void **state)
{
	struct peer *peer = *state;
	static const uint64_t target_bytes[] = {40 * MIB, UINT64_MAX};
	fill_giver(take(peer, 0, 100, 7000), 9);
	fill_giver(take(peer, 1, 101, 7000), 0);
	read_totals(peer);
	for (size_t i = 0; i < 2; i++) {
		link_ask(peer->link, LEVEL_EAGER, 1 * MIB);
		assert_int_equal(link_spared_processes(peer->link), 1);
		assert_int_equal(peer->header->spared[0], LINK_SPARED_WHOLE);
		link_ask(peer->link, LEVEL_EAGER, target_bytes[i]);
		assert_int_equal(link_spared_processes(peer->link), 0);
		assert_int_equal(peer->header->spared[0], 0);
		assert_int_equal(peer->header->spared[1], 0);
	}
	/* Who comes into the slot of one that is gone is spared nothing. */
	peer->slot[0].owner = 0;
	read_totals(peer);
	link_ask(peer->link, LEVEL_EAGER, 1 * MIB);
	assert_int_equal(peer->header->spared[0], 0);
}

static void test_answers_survive_the_sequence_wrapping(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	uint32_t sequence = link_ask(peer->link, LEVEL_LAZY, 1);
	slot->sequence_done = sequence - 2;
	assert_true(slot->sequence_done > sequence);
	assert_false(read_totals(peer).heap.answered);
	slot->sequence_done = sequence;
	assert_true(read_totals(peer).heap.answered);
}

static void test_a_new_level_does_not_call_off_an_open_release(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	uint32_t asked = link_ask(peer->link, LEVEL_EAGER, 1);
	uint32_t changed = link_set_level(peer->link, LEVEL_FULL);
	assert_int_equal(changed, asked + 1);
	assert_int_equal(peer->header->level, LINK_FULL);
	assert_int_equal(peer->header->release_level, LINK_EAGER);
	slot->sequence_done = changed;
	assert_true(read_totals(peer).heap.answered);
	link_set_level(peer->link, LEVEL_CALM);
	assert_int_equal(peer->header->release_level, LINK_CALM);
	assert_int_equal(link_level(peer->link), LEVEL_CALM);
}

static const struct config_policy adaptive = {.scavenge_cpu_permille = 10};

static void test_another_way_to_scavenge_comes_with_a_new_sequence(void **state)
{
	struct peer *peer = *state;
	struct config_policy policy = adaptive;
	link_set_scavenge(peer->link, &policy);
	uint32_t sequence = peer->header->sequence;
	assert_int_equal(peer->header->scavenge, LINK_SCAVENGE_ADAPTIVE);
	assert_int_equal(peer->header->madvise, LINK_MADVISE_AUTO);
	assert_int_equal(peer->header->cpu_permille, 10);
	policy.core_worth_bytes = 1;
	link_set_scavenge(peer->link, &policy);
	assert_int_equal(peer->header->sequence, sequence);
	policy.scavenge = CONFIG_SCAVENGE_GO1_12;
	link_set_scavenge(peer->link, &policy);
	assert_int_equal(peer->header->scavenge, LINK_SCAVENGE_GO1_12);
	assert_int_equal(peer->header->sequence, sequence + 1);
	policy.madvise = CONFIG_MADVISE_DONTNEED;
	link_set_scavenge(peer->link, &policy);
	assert_int_equal(peer->header->madvise, LINK_MADVISE_DONTNEED);
	assert_int_equal(peer->header->sequence, sequence + 2);
	policy.scavenge_cpu_permille = 1000;
	link_set_scavenge(peer->link, &policy);
	assert_int_equal(peer->header->cpu_permille, 1000);
	assert_int_equal(peer->header->sequence, sequence + 3);
	link_set_scavenge(peer->link, &policy);
	assert_int_equal(peer->header->sequence, sequence + 3);
	assert_int_equal(peer->header->release_level, LINK_CALM);
	assert_int_equal(peer->header->price_ns, 0);
}

static void test_another_way_to_scavenge_does_not_call_off_an_open_release(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	uint32_t asked = link_ask(peer->link, LEVEL_EAGER, 1);
	link_set_scavenge(peer->link, &adaptive);
	assert_int_equal(peer->header->sequence, asked + 1);
	assert_int_equal(peer->header->release_level, LINK_EAGER);
	assert_false(read_totals(peer).heap.answered);
	slot->sequence_done = asked + 1;
	assert_true(read_totals(peer).heap.answered);
	/* Nor does it ask for that one again. */
	const struct config_policy off = {.scavenge = CONFIG_SCAVENGE_OFF};
	link_set_scavenge(peer->link, &off);
	assert_int_equal(peer->header->release_level, LINK_CALM);
	assert_true(read_totals(peer).heap.answered);
}

static void test_a_price_wakes_nobody(void **state)
{
	struct peer *peer = *state;
	uint32_t sequence = peer->header->sequence;
	link_set_price(peer->link, 1907);
	assert_int_equal(peer->header->price_ns, 1907);
	assert_int_equal(peer->header->sequence, sequence);
}

static void test_publishing_wakes_only_who_waits_at_the_gate(void **state)
{
	struct peer *peer = *state;
	struct link_slot *slot = take(peer, 0, 100, 7000);
	struct link_news news = {.now_ms = 77,
		.headroom_bytes = 1 << 20,
		.credit_bytes = 5000,
		.gate_wait_ms = 200,
		.notice_bytes = 300};
	read_totals(peer);
	link_publish(peer->link, &news);
	assert_int_equal(peer->header->headroom_bytes, 1 << 20);
	assert_int_equal(peer->header->gate_wait_ms, 200);
	assert_int_equal(peer->gate->notice_bytes, 300);
	assert_int_equal(peer->header->heartbeat_ms, 77);
	/* A shim that hears nothing before the next turn must not take that for silence. */
	news.next_ms = 10077;
	link_publish(peer->link, &news);
	assert_in_range(peer->header->heartbeat_ms, 10077 - LINK_SILENT_MS + 1, 10077);
	assert_int_equal(peer->gate->credit_bytes, 5000);
	assert_int_equal(peer->header->gate_limited, 1);
	assert_int_equal(peer->gate->turn, 0);
	slot->wants_bytes = 9000;
	read_totals(peer);
	link_publish(peer->link, &news);
	assert_int_equal(peer->gate->turn, 1);
}

static void test_credit_taken_since_the_sample_is_not_given_twice(void **state)
{
	struct peer *peer = *state;
	struct link_news news = {.credit_bytes = 5000};
	peer->gate->credit_bytes = 4000;
	assert_int_equal(read_totals(peer).heap.credit_left_bytes, 4000);
	peer->gate->credit_bytes = 1000;
	link_publish(peer->link, &news);
	assert_int_equal(peer->gate->credit_bytes, 2000);
	/* More was taken than is given now. */
	assert_int_equal(read_totals(peer).heap.credit_left_bytes, 2000);
	peer->gate->credit_bytes = 0;
	news.credit_bytes = 1500;
	link_publish(peer->link, &news);
	assert_int_equal(peer->gate->credit_bytes, 0);
	/* No limit is no number to take from. */
	news.credit_bytes = UINT64_MAX;
	link_publish(peer->link, &news);
	assert_true(peer->gate->credit_bytes == UINT64_MAX);
	assert_int_equal(peer->header->gate_limited, 0);
	read_totals(peer);
	peer->gate->credit_bytes = 10;
	news.credit_bytes = 600;
	link_publish(peer->link, &news);
	assert_int_equal(peer->gate->credit_bytes, 600);
}

static void test_random_bytes_in_slots_are_survived(void **state)
{
	struct peer *peer = *state;
	uint64_t seed = 12345;
	for (unsigned round = 0; round < 20; round++) {
		unsigned char *byte = (unsigned char *)peer->slot;
		for (size_t i = 0; i < (size_t)LINK_SLOTS * LINK_SLOT_BYTES; i++) {
			seed = seed * 6364136223846793005U + 1442695040888963407U;
			byte[i] = (unsigned char)(seed >> 56);
		}
		struct link_totals totals = read_totals(peer);
		assert_true(totals.heap.processes <= LINK_SLOTS);
	}
}

static void test_what_is_noted_takes_as_much_as_the_highest_slot_that_was_used(void **state)
{
	struct peer *peer = *state;
	struct link_slots slots;
	link_slots_init(&slots, peer->slot);
	take(peer, 1, 100, 7000);
	link_slots_begin(&slots, peer->now_ms);
	for (size_t i = 0; i < LINK_PAGE_BYTES / LINK_SLOT_BYTES; i++)
		link_slots_visit(&slots, i, peer->proc.fd, 0, peer->now_ms);
	link_slots_end(&slots);
	assert_true(link_slots_has_process(&slots, 100));
	assert_false(link_slots_has_process(&slots, 101));
	assert_int_equal(slots.seen_room, 2);
	take(peer, LINK_SLOTS - 1, 101, 7000);
	link_slots_begin(&slots, peer->now_ms);
	for (size_t i = 0; i < LINK_SLOTS; i++)
		link_slots_visit(&slots, i, peer->proc.fd, 0, peer->now_ms);
	link_slots_end(&slots);
	assert_int_equal(slots.processes, 2);
	assert_true(link_slots_has_process(&slots, 100));
	assert_true(link_slots_has_process(&slots, 101));
	assert_int_equal(slots.seen_room, LINK_SLOTS);
	link_slots_fini(&slots);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_files_are_sealed_and_their_numbers_are_high),
		TEST(test_nobody_else_writes_the_header),
		TEST(test_on_an_old_kernel_no_other_user_writes_the_header),
		TEST(test_the_environment_names_the_files),
		TEST(test_an_empty_link_is_not_made_bigger_by_reading),
		TEST(test_slots_of_live_processes_are_summed),
		TEST(test_dead_processes_lose_their_slot_and_keep_their_totals),
		TEST(test_a_pid_that_is_somebody_elses_by_now_is_dead),
		TEST(test_zombies_are_dead_unless_threads_live_on),
		TEST(test_known_processes_are_looked_up_rarely_or_on_suspicion),
		TEST(test_processes_are_looked_up_more_often_while_a_release_is_out),
		TEST(test_slots_of_a_page_that_came_later_are_seen),
		TEST(test_a_slot_that_is_being_taken_does_not_count_yet),
		TEST(test_totals_stay_while_a_slot_is_not_whole),
		TEST(test_exec_starts_the_counters_anew_and_the_totals_go_on),
		TEST(test_lies_saturate_and_totals_never_fall),
		TEST(test_owners_without_a_process_are_freed_wherever_they_stand),
		TEST(test_new_owners_are_looked_up_at_a_bounded_rate),
		TEST(test_a_slot_of_another_version_does_not_count),
		TEST(test_a_slot_says_what_its_process_allocates_with),
		TEST(test_a_release_is_answered_when_all_with_a_thread_have_done_it),
		TEST(test_one_that_died_before_it_answered_is_not_waited_for),
		TEST(test_processes_where_a_page_costs_least_are_asked_first),
		TEST(test_all_are_asked_for_all_where_what_they_hold_does_not_do),
		TEST(test_answers_survive_the_sequence_wrapping),
		TEST(test_a_new_level_does_not_call_off_an_open_release),
		TEST(test_another_way_to_scavenge_comes_with_a_new_sequence),
		TEST(test_another_way_to_scavenge_does_not_call_off_an_open_release),
		TEST(test_a_price_wakes_nobody),
		TEST(test_publishing_wakes_only_who_waits_at_the_gate),
		TEST(test_credit_taken_since_the_sample_is_not_given_twice),
		TEST(test_random_bytes_in_slots_are_survived),
		TEST(test_what_is_noted_takes_as_much_as_the_highest_slot_that_was_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
