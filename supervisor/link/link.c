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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/base/random.h"
#include "supervisor/link/link_listener.h"
#include "supervisor/link/link_parts.h"
#include "supervisor/link/link_slots.h"

/* Below it is what services number by hand, as shells do with 3 to 9 and daemons up to 20. */
#define INHERITED_FD_MIN 200

/* What is left of LINK_SILENT_MS for a turn that comes late. */
#define LATE_MS (LINK_SILENT_MS / 2)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

struct link {
	int fd[LINK_FILES];
	uint64_t device[LINK_FILES];
	uint64_t inode[LINK_FILES];
	struct link_header *header;
	struct link_gate *gate;
	struct link_listener *listener;
	char token[LINK_TOKEN_CHARS + 1];
	struct link_slots slots;
	off_t whole_end;   /* every page of the slots before it exists */
	uint64_t pages_ms; /* when it was looked for more of them */
	/* The last release that was asked for; every process has done it once answered. */
	bool asked;
	uint32_t asked_sequence;
	uint32_t spared_processes;
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

static int make_file(const char *kind, const char *name, off_t bytes)
{
	char label[64];
	snprintf(label, sizeof label, "spillway-%s:%.40s", kind, name);
	int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, bytes) == 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

static int seal(int fd, int seals)
{
	seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	return fcntl(fd, F_ADD_SEALS, seals) == 0 ? 0 : -errno;
}

/*
 * For a kernel without F_SEAL_FUTURE_WRITE: what is handed out reads only, and whoever opens it
 * again needs the permission.
 */
static int open_to_read(int *fd)
{
	char path[32];
	if (fchmod(*fd, S_IRUSR | S_IRGRP | S_IROTH) != 0)
		return -errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	if (reader < 0)
		return -errno;
	close(*fd);
	*fd = reader;
	return 0;
}

/* After our own mapping: nobody else writes the header. */
static int seal_header(int *fd)
{
	int error = seal(*fd, F_SEAL_FUTURE_WRITE);
	if (error != -EINVAL)
		return error;
	error = seal(*fd, 0);
	return error == 0 ? open_to_read(fd) : error;
}

/* Under a low RLIMIT_NOFILE the number that it has will do. */
static void move_up(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, INHERITED_FD_MIN);
	if (high < 0)
		return;
	close(*fd);
	*fd = high;
}

static int make_token(char token[LINK_TOKEN_CHARS + 1])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t random[LINK_TOKEN_CHARS / 2];
	int error = random_fill(random, sizeof random);
	if (error != 0)
		return error;
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

static void unmake(struct link *link)
{
	link_slots_fini(&link->slots);
	if (link->header != NULL)
		munmap(link->header, LINK_HEADER_BYTES);
	if (link->gate != NULL)
		munmap(link->gate, LINK_BYTES);
	for (size_t i = 0; i < LINK_FILES; i++)
		if (link->fd[i] >= 0)
			close(link->fd[i]);
	free(link);
}

/* No child needs it, and a fork takes longer with each mapping that it copies. */
static int map_file(int fd, size_t bytes, void **map)
{
	void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (made == MAP_FAILED)
		return -errno;
	madvise(made, bytes, MADV_DONTFORK);
	*map = made;
	return 0;
}

static int make_header(struct link *link, const char *name)
{
	void *map = NULL;
	int *fd = &link->fd[LINK_FILE_HEADER];
	*fd = make_file("header", name, LINK_HEADER_BYTES);
	if (*fd < 0)
		return *fd;
	int error = map_file(*fd, LINK_HEADER_BYTES, &map);
	link->header = map;
	return error == 0 ? seal_header(fd) : error;
}

static int make_slots(struct link *link, const char *name)
{
	void *map = NULL;
	int *fd = &link->fd[LINK_FILE_SLOTS];
	*fd = make_file("link", name, LINK_BYTES);
	if (*fd < 0)
		return *fd;
	int error = map_file(*fd, LINK_BYTES, &map);
	link->gate = map;
	if (error == 0)
		error = seal(*fd, 0);
	if (error == 0)
		link_slots_init(&link->slots, (struct link_slot *)((char *)map + LINK_PAGE_BYTES));
	return error;
}

static int note_files(struct link *link)
{
	for (size_t i = 0; i < LINK_FILES; i++) {
		struct stat status;
		move_up(&link->fd[i]);
		if (fstat(link->fd[i], &status) != 0)
			return -errno;
		link->device[i] = status.st_dev;
		link->inode[i] = status.st_ino;
	}
	return 0;
}

int link_open(const char *name, struct link_listener *listener, struct link **link)
{
	char token[LINK_TOKEN_CHARS + 1];
	int error = make_token(token);
	return error == 0 ? link_open_again(name, listener, token, link) : error;
}

int link_open_again(
	const char *name, struct link_listener *listener, const char *token, struct link **link)
{
	struct link *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->fd[LINK_FILE_SLOTS] = -1;
	int error = make_header(made, name);
	if (error == 0)
		error = make_slots(made, name);
	if (error == 0)
		error = note_files(made);
	memcpy(made->token, token, LINK_TOKEN_CHARS);
	if (error == 0 && listener != NULL)
		error = link_listener_add(listener, made->token, made->fd);
	if (error != 0) {
		unmake(made);
		return error;
	}
	made->listener = listener;
	made->credit_left_bytes = UINT64_MAX;
	made->whole_end = LINK_PAGE_BYTES;
	atomic_store(&made->gate->credit_bytes, UINT64_MAX);
	atomic_store(&made->gate->notice_bytes, UINT64_MAX);
	fill_header(made->header);
	*link = made;
	return 0;
}

void link_close(struct link *link)
{
	if (link == NULL)
		return;
	if (link->listener != NULL)
		link_listener_remove(link->listener, link->token);
	/* Whoever still runs is alone from now on, and must not wait at the gate for us. */
	atomic_store(&link->header->level, LINK_CALM);
	atomic_store(&link->header->release_level, LINK_CALM);
	atomic_store(&link->header->gate_wait_ms, 0);
	atomic_store(&link->header->price_ns, 0);
	atomic_store(&link->header->gate_limited, 0);
	atomic_store(&link->gate->credit_bytes, UINT64_MAX);
	atomic_store(&link->gate->notice_bytes, UINT64_MAX);
	atomic_fetch_add(&link->gate->turn, 1);
	wake_all(&link->gate->turn);
	atomic_fetch_add(&link->header->sequence, 1);
	wake_all(&link->header->sequence);
	unmake(link);
}

const int *link_fds(const struct link *link)
{
	return link->fd;
}

int link_environment(const struct link *link, char *value, size_t size)
{
	int length = snprintf(value, size, "%u:%d:%llu:%llu:%d:%llu:%llu:%s:%s", LINK_VERSION,
		link->fd[LINK_FILE_HEADER], (unsigned long long)link->device[LINK_FILE_HEADER],
		(unsigned long long)link->inode[LINK_FILE_HEADER], link->fd[LINK_FILE_SLOTS],
		(unsigned long long)link->device[LINK_FILE_SLOTS],
		(unsigned long long)link->inode[LINK_FILE_SLOTS],
		link->listener != NULL ? link_listener_name(link->listener) : "none", link->token);
	return length >= 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

_Atomic uint32_t *link_notify_word(struct link *link)
{
	return &link->gate->notify;
}

static void visit_page(struct link *link, off_t start, off_t end, int proc_fd, uint64_t now_ms)
{
	size_t first = (size_t)(start - LINK_PAGE_BYTES) / LINK_SLOT_BYTES;
	size_t last = (size_t)(end - LINK_PAGE_BYTES) / LINK_SLOT_BYTES;
	for (size_t i = first; i < last && i < LINK_SLOTS; i++)
		link_slots_visit(&link->slots, i, proc_fd, link->asked_sequence, now_ms);
}

/* Pages that exist stay, so that only what comes after them has to be asked for. */
static void visit_pages(struct link *link, int proc_fd, uint64_t now_ms)
{
	off_t start = link->whole_end;
	bool has_some = start > LINK_PAGE_BYTES;
	if (has_some)
		visit_page(link, LINK_PAGE_BYTES, start, proc_fd, now_ms);
	if (has_some && link->slots.rests && now_ms - link->pages_ms < LINK_SLOTS_TRUST_MS)
		return;
	link->pages_ms = now_ms;
	for (;;) {
		start = lseek(link->fd[LINK_FILE_SLOTS], start, SEEK_DATA);
		if (start < LINK_PAGE_BYTES)
			break; /* -1: no page after the last */
		off_t end = lseek(link->fd[LINK_FILE_SLOTS], start, SEEK_HOLE);
		if (end <= start)
			break;
		visit_page(link, start, end, proc_fd, now_ms);
		if (start == link->whole_end)
			link->whole_end = end;
		start = end;
	}
}

void link_read(struct link *link, int proc_fd, uint64_t now_ms, struct link_totals *totals)
{
	struct link_slots *slots = &link->slots;
	slots->rests = !link->asked && link->wants_bytes == 0 &&
		       slots->processes <= LINK_SLOTS_REST_MOST && link_level(link) == LEVEL_CALM;
	link_slots_begin(slots, now_ms);
	visit_pages(link, proc_fd, now_ms);
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
			.page_ns = link_figures_page_ns(&slots->sum),
			.wants_bytes = link->wants_bytes,
			.credit_left_bytes = link->credit_left_bytes,
			.populated_bytes = slots->sum.populated_bytes,
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
	return link_slots_has_process(&link->slots, pid);
}

enum link_allocator link_process_allocator(const struct link *link, pid_t pid)
{
	return link_slots_allocator(&link->slots, pid);
}

const char *link_allocator_name(enum link_allocator allocator)
{
	static const char *const names[LINK_ALLOCATORS] = {
		[LINK_ALLOCATOR_SPILLWAY] = "spillway",
		[LINK_ALLOCATOR_UNKNOWN] = "unknown",
		[LINK_ALLOCATOR_GLIBC] = "glibc",
		[LINK_ALLOCATOR_JEMALLOC] = "jemalloc",
		[LINK_ALLOCATOR_TCMALLOC] = "tcmalloc",
		[LINK_ALLOCATOR_MIMALLOC] = "mimalloc",
	};
	return names[allocator];
}

size_t link_processes(const struct link *link, pid_t *pid, size_t room)
{
	size_t count = 0;
	for (size_t i = 0; i < link->slots.seen_end && count < room; i++)
		if (link->slots.seen[i].owner != 0)
			pid[count++] = (pid_t)(uint32_t)link->slots.seen[i].owner;
	return count;
}

void link_rest(const struct link *link)
{
	madvise(link->header, LINK_HEADER_BYTES, MADV_DONTNEED);
	madvise(link->gate, LINK_BYTES, MADV_DONTNEED);
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

static uint64_t heartbeat_ms(const struct link_news *news)
{
	return news->next_ms > news->now_ms + LATE_MS ? news->next_ms - LATE_MS : news->now_ms;
}

void link_publish(struct link *link, const struct link_news *news)
{
	struct link_header *header = link->header;
	atomic_store_explicit(&header->headroom_bytes, news->headroom_bytes, memory_order_relaxed);
	atomic_store_explicit(&header->gate_wait_ms, news->gate_wait_ms, memory_order_relaxed);
	atomic_store_explicit(&header->heartbeat_ms, heartbeat_ms(news), memory_order_relaxed);
	/* Credit first where it is limited, last where it is not: a heap sees no limit that is
	 * none. */
	if (news->credit_bytes == UINT64_MAX)
		atomic_store(&header->gate_limited, 0);
	store_credit(link, news->credit_bytes);
	if (news->credit_bytes != UINT64_MAX)
		atomic_store(&header->gate_limited, 1);
	atomic_store(&link->gate->notice_bytes, news->notice_bytes);
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
	link->spared_processes = link_parts_write(link->header, &link->slots, level, target_bytes);
	link->asked = true;
	link->asked_sequence = raise_sequence(link);
	return link->asked_sequence;
}

uint32_t link_spared_processes(const struct link *link)
{
	return link->spared_processes;
}

enum level link_level(const struct link *link)
{
	uint32_t level = atomic_load(&link->header->level);
	return level < LEVELS ? (enum level)level : LEVEL_CALM;
}
