/* The supervisor's end of one service's shared memory. */
#include "supervisor/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/link/link_door.h"
#include "supervisor/link/link_slots.h"

/* Below it is what services number by hand, as shells do with 3 to 9 and daemons up to 20. */
#define INHERITED_FD_MIN 200

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct link {
	int fd;
	struct link_header *header;
	struct link_gate *gate;
	struct link_door *door;
	char token[LINK_TOKEN_CHARS + 1];
	uint64_t device;
	uint64_t inode;
	struct link_slots slots;
	/* The last release that was asked for; every process has done it once answered. */
	bool asked;
	uint32_t asked_sequence;
	uint64_t credit_left_bytes; /* at the last read */
	uint64_t wants_bytes;
};

_Static_assert((int)CONFIG_SCAVENGE_ADAPTIVE == LINK_SCAVENGE_ADAPTIVE &&
		       (int)CONFIG_SCAVENGE_OFF == LINK_SCAVENGE_OFF &&
		       (int)CONFIG_SCAVENGE_GO1_11 == LINK_SCAVENGE_GO1_11 &&
		       (int)CONFIG_SCAVENGE_GO1_12 == LINK_SCAVENGE_GO1_12 &&
		       (int)CONFIG_SCAVENGE_GO1_13 == LINK_SCAVENGE_GO1_13 &&
		       (int)CONFIG_SCAVENGE_DECAY == LINK_SCAVENGE_DECAY &&
		       (int)CONFIG_SCAVENGES == LINK_SCAVENGES,
	"the config's numbers are the link's");
_Static_assert((int)CONFIG_MADVISE_AUTO == LINK_MADVISE_AUTO &&
		       (int)CONFIG_MADVISE_DONTNEED == LINK_MADVISE_DONTNEED &&
		       (int)CONFIG_MADVISES == LINK_MADVISES,
	"the config's numbers are the link's");

static void wake_all(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int make_file(const char *name)
{
	char label[64];
	snprintf(label, sizeof label, "spillway-link:%.40s", name);
	int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int error = 0;
	if (ftruncate(fd, LINK_BYTES) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		error = -errno;
	int high = error == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, INHERITED_FD_MIN) : -1;
	/* Under a low RLIMIT_NOFILE the first number will do. */
	if (error == 0 && high < 0)
		return fd;
	close(fd);
	return error == 0 ? high : error;
}

static int make_token(char token[LINK_TOKEN_CHARS + 1])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t random[LINK_TOKEN_CHARS / 2];
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return -EIO;
	for (size_t i = 0; i < sizeof random; i++) {
		token[2 * i] = hex[random[i] >> 4];
		token[2 * i + 1] = hex[random[i] & 15];
	}
	token[LINK_TOKEN_CHARS] = '\0';
	return 0;
}

static void fill_header(struct link_header *header)
{
	struct stat status;
	header->magic = LINK_MAGIC;
	header->version = LINK_VERSION;
	header->supervisor_pid = (uint32_t)getpid();
	header->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	atomic_store(&header->level, LINK_CALM);
	atomic_store(&header->release_level, LINK_CALM);
	atomic_store(&header->headroom_bytes, UINT64_MAX);
}

int link_open(const char *name, struct link_door *door, struct link **link)
{
	struct stat status;
	struct link *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	int error = 0;
	void *map = MAP_FAILED;
	made->fd = make_file(name);
	if (made->fd < 0) {
		error = made->fd;
		goto out;
	}
	map = mmap(NULL, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, made->fd, 0);
	if (map == MAP_FAILED || fstat(made->fd, &status) != 0) {
		error = -errno;
		goto out;
	}
	error = link_slots_init(&made->slots, (struct link_slot *)((char *)map + LINK_PAGE_BYTES));
	if (error == 0)
		error = make_token(made->token);
	if (error == 0 && door != NULL)
		error = link_door_add(door, made->token, made->fd);
	if (error != 0)
		goto out;
	made->door = door;
	made->device = status.st_dev;
	made->inode = status.st_ino;
	made->header = map;
	made->gate = (struct link_gate *)((char *)map + LINK_GATE_OFFSET);
	made->credit_left_bytes = UINT64_MAX;
	atomic_store(&made->gate->credit_bytes, UINT64_MAX);
	fill_header(made->header);
	*link = made;
	return 0;
out:
	link_slots_fini(&made->slots);
	if (map != MAP_FAILED)
		munmap(map, LINK_BYTES);
	if (made->fd >= 0)
		close(made->fd);
	free(made);
	return error;
}

void link_leave_door(struct link *link)
{
	if (link->door != NULL)
		link_door_remove(link->door, link->token);
	link->door = NULL;
}

void link_close(struct link *link)
{
	if (link == NULL)
		return;
	link_leave_door(link);
	/* Whoever still runs is alone from now on, and must not wait at the gate for us. */
	atomic_store(&link->header->level, LINK_CALM);
	atomic_store(&link->header->release_level, LINK_CALM);
	atomic_store(&link->header->gate_wait_ms, 0);
	atomic_store(&link->header->price_ns, 0);
	atomic_store(&link->gate->credit_bytes, UINT64_MAX);
	atomic_fetch_add(&link->gate->turn, 1);
	wake_all(&link->gate->turn);
	atomic_fetch_add(&link->header->sequence, 1);
	wake_all(&link->header->sequence);
	link_slots_fini(&link->slots);
	munmap(link->header, LINK_BYTES);
	close(link->fd);
	free(link);
}

int link_fd(const struct link *link)
{
	return link->fd;
}

int link_environment(const struct link *link, char *value, size_t size)
{
	int length = snprintf(value, size, "%d:%llu:%llu:%s:%s", link->fd,
		(unsigned long long)link->device, (unsigned long long)link->inode,
		link->door != NULL ? link_door_name(link->door) : "none", link->token);
	return length >= 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

_Atomic uint32_t *link_doorbell(struct link *link)
{
	return &link->gate->doorbell;
}

static void visit_page(struct link *link, off_t start, off_t end, int proc_fd, uint64_t now_ms)
{
	size_t first = (size_t)(start - LINK_PAGE_BYTES) / LINK_SLOT_BYTES;
	size_t last = (size_t)(end - LINK_PAGE_BYTES) / LINK_SLOT_BYTES;
	for (size_t i = first; i < last && i < LINK_SLOTS; i++)
		link_slots_visit(&link->slots, i, proc_fd, link->asked_sequence, now_ms);
}

void link_read(struct link *link, int proc_fd, uint64_t now_ms, struct link_totals *totals)
{
	struct link_slots *slots = &link->slots;
	off_t start = LINK_PAGE_BYTES;
	link_slots_begin(slots);
	for (;;) {
		start = lseek(link->fd, start, SEEK_DATA);
		if (start < LINK_PAGE_BYTES)
			break; /* -1: no page after the last */
		off_t end = lseek(link->fd, start, SEEK_HOLE);
		if (end <= start)
			break;
		visit_page(link, start, end, proc_fd, now_ms);
		start = end;
	}
	link_slots_end(slots);
	if (slots->answered)
		link->asked = false;
	link->wants_bytes = slots->sum.wants_bytes;
	link->credit_left_bytes = atomic_load(&link->gate->credit_bytes);
	*totals = (struct link_totals){
		.heap = {.processes = slots->processes,
			.in_use_bytes = slots->sum.in_use_bytes,
			.free_slot_bytes = slots->sum.free_slots_bytes,
			.idle_dirty_bytes = slots->sum.idle_dirty_bytes,
			.lazy_bytes = slots->sum.lazy_bytes,
			.released_bytes = link_figures_released(&slots->sum),
			.gone_bytes = link_figures_gone(&slots->sum),
			.wants_bytes = link->wants_bytes,
			.credit_left_bytes = link->credit_left_bytes,
			.answered = slots->answered},
		.threads = slots->threads,
		.figures = slots->sum,
	};
}

void link_suspect(struct link *link)
{
	link->slots.suspect = true;
}

bool link_has_process(const struct link *link, pid_t pid)
{
	for (size_t i = 0; i < LINK_SLOTS; i++) {
		uint64_t owner = link->slots.seen[i].owner;
		if (owner != 0 && (uint32_t)owner == (uint32_t)pid)
			return true;
	}
	return false;
}

void link_set_wall_directory(struct link *link, const char *directory)
{
	char *to = link->header->wall_directory;
	if (strlen(directory) < LINK_WALL_DIRECTORY_BYTES)
		memcpy(to, directory, strlen(directory) + 1);
}

/*
 * Credit that heaps took between the sample and now was part of what policy saw as left
 * and must not be given twice.  Where either number means "no limit" there
 * is nothing to take off.
 */
static void store_credit(struct link *link, uint64_t credit_bytes)
{
	uint64_t before = link->credit_left_bytes;
	uint64_t now = atomic_load(&link->gate->credit_bytes);
	uint64_t wanted;
	do {
		wanted = credit_bytes;
		if (credit_bytes != UINT64_MAX && before != UINT64_MAX && now < before) {
			uint64_t taken = before - now;
			wanted = credit_bytes > taken ? credit_bytes - taken : 0;
		}
	} while (!atomic_compare_exchange_weak(&link->gate->credit_bytes, &now, wanted));
}

void link_publish(struct link *link, const struct link_news *news)
{
	struct link_header *header = link->header;
	atomic_store_explicit(&header->headroom_bytes, news->headroom_bytes, memory_order_relaxed);
	atomic_store_explicit(&header->gate_wait_ms, news->gate_wait_ms, memory_order_relaxed);
	atomic_store_explicit(&header->heartbeat_ms, news->now_ms, memory_order_relaxed);
	store_credit(link, news->credit_bytes);
	if (link->wants_bytes == 0)
		return;
	atomic_fetch_add(&link->gate->turn, 1);
	wake_all(&link->gate->turn);
}

static uint32_t raise_sequence(struct link *link)
{
	uint32_t sequence = atomic_fetch_add(&link->header->sequence, 1) + 1;
	wake_all(&link->header->sequence);
	return sequence;
}

/* News that asks for no release.  One that some have not done yet stays in the header: who
 * sleeps through two sequence numbers sees the last one only. */
static uint32_t tell(struct link *link)
{
	if (!link->asked)
		atomic_store(&link->header->release_level, LINK_CALM);
	return raise_sequence(link);
}

void link_set_price(struct link *link, uint64_t price_ns)
{
	_Atomic uint64_t *price = &link->header->price_ns;
	if (atomic_load_explicit(price, memory_order_relaxed) != price_ns)
		atomic_store_explicit(price, price_ns, memory_order_relaxed);
}

void link_set_scavenge(struct link *link, const struct config_policy *policy)
{
	struct link_header *header = link->header;
	uint32_t before = atomic_exchange(&header->scavenge, (uint32_t)policy->scavenge);
	bool changed = before != (uint32_t)policy->scavenge;
	before = atomic_exchange(&header->madvise, (uint32_t)policy->madvise);
	changed |= before != (uint32_t)policy->madvise;
	before = atomic_exchange(&header->cpu_permille, policy->scavenge_cpu_permille);
	changed |= before != policy->scavenge_cpu_permille;
	if (changed)
		tell(link);
}

uint32_t link_set_level(struct link *link, enum level level)
{
	atomic_store(&link->header->level, (uint32_t)level);
	return tell(link);
}

uint32_t link_ask(struct link *link, enum level level, uint64_t target_bytes)
{
	atomic_store(&link->header->target_bytes, target_bytes);
	atomic_store(&link->header->release_level, (uint32_t)level);
	link->asked = true;
	link->asked_sequence = raise_sequence(link);
	return link->asked_sequence;
}

enum level link_level(const struct link *link)
{
	uint32_t level = atomic_load(&link->header->level);
	return level < LEVELS ? (enum level)level : LEVEL_CALM;
}
