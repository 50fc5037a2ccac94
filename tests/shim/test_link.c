#include "shim/link.h"

#include "shim/futex.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/link_socket.h"
#include "shim/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/patience.h"

/*
 * The process's end of the link, with files as a supervisor makes them.  Each test is a child of
 * its own, as a process joins once.  What the link asks of the rest of the library:
 */
#define NAMESPACE 77U
#define TICKS 1234U
#define IN_USE_BYTES 4096U

uint64_t process_pid_namespace(void)
{
	return NAMESPACE;
}

uint64_t process_start_ticks(void)
{
	return TICKS;
}

static uint64_t now_ns = UINT64_C(5000000000);

uint64_t os_now_ns(void)
{
	return now_ns;
}

bool os_is_sandboxed(void)
{
	return false;
}

void heap_stats_read(struct heap_stats *stats)
{
	*stats = (struct heap_stats){.in_use_bytes = IN_USE_BYTES, .refault_page_ns = 1600};
}

int link_socket_fetch(const char *name, const char *token, int fd[LINK_FILES], uint32_t *listener)
{
	(void)name;
	(void)token;
	(void)fd;
	(void)listener;
	return -ECONNREFUSED;
}

bool link_trusts(uint32_t listener)
{
	return listener == 0;
}

/* --- the supervisor's end --------------------------------------------------------------------- */

struct files {
	int fd[LINK_FILES];
	struct link_header *header;
	struct link_gate *gate;
	struct link_slot *slot;
};

static void *make_file(int *fd, size_t bytes)
{
	*fd = memfd_create("link", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, (off_t)bytes), 0);
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

static struct files make_files(uint32_t version, int seals)
{
	struct files files;
	files.header = make_file(&files.fd[LINK_FILE_HEADER], LINK_HEADER_BYTES);
	files.gate = make_file(&files.fd[LINK_FILE_SLOTS], LINK_BYTES);
	files.slot = (struct link_slot *)((char *)files.gate + LINK_PAGE_BYTES);
	files.header->magic = LINK_MAGIC;
	files.header->version = version;
	files.header->pid_namespace = NAMESPACE;
	for (size_t i = 0; seals != 0 && i < LINK_FILES; i++)
		assert_int_equal(fcntl(files.fd[i], F_ADD_SEALS, seals), 0);
	return files;
}

static struct files make_good(void)
{
	return make_files(LINK_VERSION, F_SEAL_SHRINK | F_SEAL_GROW);
}

static uint64_t own_name(void)
{
	return (uint64_t)TICKS << 32 | (uint32_t)getpid();
}

static void join(const struct files *files)
{
	struct link_address address = {.socket = "none"};
	for (size_t i = 0; i < LINK_FILES; i++) {
		struct stat status;
		assert_int_equal(fstat(files->fd[i], &status), 0);
		address.file[i].fd = files->fd[i];
		address.file[i].device = status.st_dev;
		address.file[i].inode = status.st_ino;
	}
	assert_int_equal(link_join(&address), 0);
	assert_true(files->slot->owner == own_name());
}

static void in_child(void (*run)(void))
{
	int status = -1;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void ask_parts(void)
{
	struct files files = make_good();
	struct link_request request;
	join(&files);
	files.header->release_level = LINK_EAGER;
	files.header->target_bytes = UINT64_MAX;
	files.header->sequence++;
	link_request_read(&request);
	assert_int_equal(request.sequence, 1);
	assert_int_equal(request.release_level, LINK_EAGER);
	assert_true(request.target_bytes == UINT64_MAX);
	files.header->target_bytes = LINK_SPARED_WHOLE * UINT64_C(1000) + 7;
	link_request_read(&request);
	assert_int_equal(request.target_bytes, LINK_SPARED_WHOLE * UINT64_C(1000) + 7);
	files.header->spared[0] = LINK_SPARED_WHOLE - 1;
	link_request_read(&request);
	assert_int_equal(request.target_bytes, 1000);
	files.header->spared[0] = LINK_SPARED_WHOLE;
	link_request_read(&request);
	assert_int_equal(request.target_bytes, 0);
	assert_int_equal(files.slot->fault_page_ns, 1600);
}

static void test_a_process_gives_its_part_of_the_target(void **state)
{
	(void)state;
	in_child(ask_parts);
}

/* The header of a supervisor at rest says when it is silent; one that was killed is missed before.
 */
static void lose_the_supervisor(void)
{
	struct files files = make_good();
	int status;
	pid_t dead = fork();
	assert_true(dead >= 0);
	if (dead == 0)
		_exit(0);
	join(&files);
	files.header->heartbeat_ms = 9000;
	assert_false(link_is_silent(UINT64_C(8000000000)));
	assert_true(link_rests(UINT64_C(8000000000)));
	assert_false(link_rests(UINT64_C(9000000000)));
	files.header->supervisor_pid = (uint32_t)getpid();
	assert_false(link_is_orphaned());
	assert_int_equal(waitpid(dead, &status, 0), dead);
	files.header->supervisor_pid = (uint32_t)dead;
	assert_true(link_is_orphaned());
}

static void test_a_supervisor_that_died_at_rest_is_missed(void **state)
{
	(void)state;
	in_child(lose_the_supervisor);
}

static void replace(void)
{
	struct files first = make_good();
	struct files second = make_good();
	join(&first);
	first.header->gate_wait_ms = 100;
	second.header->gate_wait_ms = 200;
	assert_int_equal(link_gate_wait_ms(), 100);
	assert_int_equal(link_replace(first.fd), -EALREADY);
	assert_int_equal(link_replace(second.fd), 0);
	assert_int_equal(link_gate_wait_ms(), 200);
	assert_true(second.slot->owner == own_name());
	assert_int_equal(second.slot->in_use_bytes, IN_USE_BYTES);
	second.gate->credit_bytes = 5;
	assert_int_equal(link_gate()->credit_bytes, 5);
	/* What the old one says means nothing any more. */
	first.header->gate_wait_ms = 300;
	assert_int_equal(link_gate_wait_ms(), 200);
	assert_int_equal(link_replace(second.fd), -EALREADY);
	assert_int_equal(link_replace(first.fd), 0);
	assert_int_equal(link_gate_wait_ms(), 300);
}

static void test_other_files_take_the_place_of_the_first(void **state)
{
	(void)state;
	in_child(replace);
}

static void refuse(void)
{
	struct files first = make_good();
	struct files other = make_files(LINK_VERSION + 1, F_SEAL_SHRINK | F_SEAL_GROW);
	struct files unsealed = make_files(LINK_VERSION, 0);
	struct files good = make_good();
	int short_of_one[LINK_FILES] = {good.fd[LINK_FILE_HEADER], good.fd[LINK_FILE_HEADER]};
	join(&first);
	first.header->gate_wait_ms = 100;
	assert_int_equal(link_replace(other.fd), -EPROTO);
	assert_int_equal(link_replace(unsealed.fd), -EINVAL);
	assert_int_equal(link_replace(short_of_one), -EINVAL);
	/* Nor while a thread is in the slot. */
	assert_true(link_slot_enter()->owner == own_name());
	assert_int_equal(link_replace(good.fd), -EBUSY);
	link_slot_leave();
	assert_int_equal(link_gate_wait_ms(), 100);
	assert_true(first.slot->owner == own_name());
	assert_true(good.slot->owner == 0);
	assert_int_equal(link_replace(good.fd), 0);
	assert_true(good.slot->owner == own_name());
}

static void test_what_is_no_link_changes_nothing(void **state)
{
	(void)state;
	in_child(refuse);
}

static void renew(void)
{
	struct files files = make_good();
	join(&files);
	/* Somebody else stands there now: nothing is written in its name. */
	files.slot[0].owner = own_name() + 1;
	files.slot[0].in_use_bytes = 1;
	link_slot_publish();
	assert_int_equal(files.slot[0].in_use_bytes, 1);
	assert_true(files.slot[1].owner == own_name());
	assert_int_equal(files.slot[1].start_ticks, TICKS);
	assert_int_equal(files.slot[1].in_use_bytes, IN_USE_BYTES);
	assert_non_null(link_slot_enter());
	link_slot_leave();
	/* Not again within LINK_SLOT_AGAIN_NS. */
	files.slot[1].start_ticks = 0;
	link_slot_publish();
	assert_int_equal(files.slot[1].start_ticks, 0);
	assert_null(link_slot_enter());
	now_ns += LINK_SLOT_AGAIN_NS;
	link_slot_publish();
	assert_int_equal(files.slot[1].start_ticks, TICKS);
	assert_non_null(link_slot_enter());
	link_slot_leave();
}

static void test_a_slot_that_was_written_over_is_replaced(void **state)
{
	(void)state;
	in_child(renew);
}

static void renew_when_full(void)
{
	struct files files = make_good();
	join(&files);
	for (size_t i = 0; i < LINK_SLOTS; i++)
		files.slot[i].owner = own_name() + 1 + i;
	link_slot_publish();
	files.slot[7].owner = 0;
	link_slot_take();
	link_slot_publish();
	assert_true(files.slot[7].owner == 0);
	now_ns += LINK_SLOT_AGAIN_NS;
	link_slot_publish();
	assert_true(files.slot[7].owner == own_name());
}

static void test_where_no_slot_was_left_one_is_looked_for_again(void **state)
{
	(void)state;
	in_child(renew_when_full);
}

static atomic_int woken;

static void *sleep_on(void *word)
{
	futex_wait(word, 0, FUTEX_ALL_BITS, UINT64_MAX);
	atomic_fetch_add(&woken, 1);
	return NULL;
}

static void wake(void)
{
	struct files first = make_good();
	struct files second = make_good();
	pthread_t thread[2];
	join(&first);
	second.header->sequence = 1;
	second.gate->turn = 1;
	assert_int_equal(pthread_create(&thread[0], NULL, sleep_on, link_sequence_word()), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, sleep_on, &link_gate()->turn), 0);
	/* One that has not gone to sleep yet finds another number there. */
	assert_int_equal(link_replace(second.fd), 0);
	assert_true(WAIT_UNTIL(10, atomic_load(&woken) == 2));
}

static void test_whoever_sleeps_on_the_old_files_wakes(void **state)
{
	(void)state;
	in_child(wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_gives_its_part_of_the_target),
		cmocka_unit_test(test_a_supervisor_that_died_at_rest_is_missed),
		cmocka_unit_test(test_other_files_take_the_place_of_the_first),
		cmocka_unit_test(test_what_is_no_link_changes_nothing),
		cmocka_unit_test(test_a_slot_that_was_written_over_is_replaced),
		cmocka_unit_test(test_where_no_slot_was_left_one_is_looked_for_again),
		cmocka_unit_test(test_whoever_sleeps_on_the_old_files_wakes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
