/*
 * A service that does to its link what it should not, for the system tests and the bench.
 *
 *   hostile header   tries every way to write the header, and waits on a word of it; says "refused"
 *                    and "waits", or what it could do; ends
 *   hostile slots    writes random numbers over the gate and all slots, over and over
 *   hostile owners   writes new owners into all slots, over and over
 *   hostile wants    says in its slot that it wants 200 MiB, over and over
 *   hostile greed    says another want each time, of up to 200 MiB, and notifies the supervisor of
 * it, over and over hostile notify   notifies the supervisor, over and over hostile connect
 * connects to the listener, over and over
 *
 *   hostile spin     does nothing, over and over: for comparison
 *
 * All but the first say "hostile" when they have begun, and end with SIGTERM.
 */
#include "tests/system/link_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WANTS_BYTES (UINT64_C(200) << 20)

static struct link_names names;
static struct link_gate *gate;
static struct link_slot *slots;

static uint64_t random_next(void)
{
	static uint64_t seed = 88172645463325252U;
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool maps_to_write(int fd)
{
	return mmap(NULL, LINK_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) !=
	       MAP_FAILED;
}

/* The way that leads to writing the header; NULL: none does. */
static const char *way_in(void)
{
	char path[32];
	char byte = 0;
	int fd = names.fd[LINK_FILE_HEADER];
	const struct link_header *header = link_map_header(&names);
	if (header == NULL)
		return "no header at all";
	if (maps_to_write(fd))
		return "mmap";
	if (pwrite(fd, &byte, 1, 0) == 1)
		return "pwrite";
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LINK_HEADER_BYTES) == 0)
		return "fallocate";
	if (mprotect((void *)header, LINK_HEADER_BYTES, PROT_READ | PROT_WRITE) == 0)
		return "mprotect";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	fd = open(path, O_RDWR);
	if (fd >= 0 && (maps_to_write(fd) || pwrite(fd, &byte, 1, 0) == 1))
		return "open";
	return NULL;
}

static int run_header(void)
{
	const struct timespec soon = {.tv_nsec = 1000000};
	const char *way = way_in();
	const struct link_header *header = link_map_header(&names);
	puts(way == NULL ? "refused" : way);
	/* A sequence of the supervisor's in between is no failure of the wait. */
	for (int i = 0; i < 1000; i++) {
		uint32_t sequence = atomic_load(&header->sequence);
		if (syscall(SYS_futex, &header->sequence, FUTEX_WAIT, sequence, &soon, NULL, 0) !=
				0 &&
			errno == ETIMEDOUT) {
			puts("waits");
			return 0;
		}
	}
	printf("does not wait: %s\n", strerror(errno));
	return 1;
}

static void scribble_slots(void)
{
	uint64_t *words = (uint64_t *)gate;
	for (size_t i = 0; i < LINK_BYTES / sizeof *words; i++)
		words[i] = random_next();
}

static void scribble_owners(void)
{
	for (size_t i = 0; i < LINK_SLOTS; i++) {
		atomic_store(&slots[i].owner, random_next() | 1);
		atomic_store(&slots[i].version, LINK_VERSION);
		atomic_store(&slots[i].start_ticks, 1);
	}
}

static void want_bytes(uint64_t bytes)
{
	for (size_t i = 0; i < LINK_SLOTS; i++)
		if ((uint32_t)atomic_load(&slots[i].owner) == (uint32_t)getpid())
			atomic_store(&slots[i].wants_bytes, bytes);
}

static void want(void)
{
	want_bytes(WANTS_BYTES);
}

static void notify(void)
{
	atomic_fetch_add(&gate->notify, 1);
	syscall(SYS_futex, &gate->notify, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void be_greedy(void)
{
	want_bytes(random_next() % WANTS_BYTES);
	notify();
}

static void spin(void)
{
	(void)random_next();
}

static void connect_to(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strnlen(names.socket, sizeof address.sun_path - 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path + 1, names.socket, length);
	(void)connect(fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(void);
} acts[] = {
	{"slots", scribble_slots},
	{"owners", scribble_owners},
	{"wants", want},
	{"greed", be_greedy},
	{"notify", notify},
	{"connect", connect_to},
	{"spin", spin},
};

int main(int argc, char **argv)
{
	if (argc != 2 || link_names_read(&names) != 0) {
		fprintf(stderr, "usage: hostile "
				"header|slots|owners|wants|greed|notify|connect|spin, with a "
				"link\n");
		return 2;
	}
	if (strcmp(argv[1], "header") == 0)
		return run_header();
	gate = link_map_gate(&names);
	if (gate == NULL)
		return 3;
	slots = (struct link_slot *)((char *)gate + LINK_PAGE_BYTES);
	puts("hostile");
	fflush(stdout);
	for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
		while (strcmp(argv[1], acts[i].name) == 0)
			acts[i].run();
	return 2;
}
