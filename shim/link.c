/* The process's end of the link: joining it, its slot, what the supervisor wants. */
#include "shim/link.h"

#include "shim/futex.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/kernel.h"
#include "shim/link_socket.h"
#include "shim/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTENDED_MS 5000U
/* A damaged header must not turn the gate into a wall. */
#define GATE_WAIT_MS_MAX 10000U
#define USERS_CLOSED 0x80000000U
/* Slots are taken from the front, so a run of free ones this long ends the search. */
#define SLOT_SEARCH_RUN (LINK_PAGE_BYTES / LINK_SLOT_BYTES)

/* What the supervisor alone writes, and what is everybody's. */
static struct link_header *header;
static struct link_gate *gate;
static uint64_t header_inode;
static bool foreign_pids;
static struct link_address origin;

/* Both are written while users is closed or nobody else runs; users counts who is inside. */
static struct link_slot *_Atomic slot;
static uint64_t slot_owner;
static enum link_allocator slot_allocator;
static _Atomic uint32_t users = USERS_CLOSED;
/* NONE: there was no slot left, and none is looked for until renew_ns. */
enum taking { TAKING_FREE, TAKING_BUSY, TAKING_NONE };
static _Atomic uint32_t slot_taking;
static _Atomic uint64_t renew_ns;
/* The totals that a forked process began with: its parent counts them.  Written while the slot is
 * being taken. */
static struct heap_stats inherited;
static _Atomic bool inherits;

/* Maps what is behind fd if it is the file of the link that is expected there (NULL: any); NULL and
 * *error. */
static void *file_map(
	int fd, const struct link_address_file *file, size_t bytes, int protection, int *error)
{
	struct stat status;
	void *map;
	int seals;

	*error = kernel_fstat(fd, &status);
	if (*error != 0)
		return NULL;
	*error = -EINVAL;
	if (file != NULL && ((uint64_t)status.st_dev != file->device ||
				    (uint64_t)status.st_ino != file->inode)) {
		*error = -ESTALE;
		return NULL;
	}
	if (!S_ISREG(status.st_mode) || status.st_size != (off_t)bytes)
		return NULL;
	seals = (int)kernel_call(SYS_fcntl, fd, F_GET_SEALS, 0, 0, 0, 0);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return NULL;
	map = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
	*error = map == MAP_FAILED ? -errno : 0;
	return *error == 0 ? map : NULL;
}

static uint64_t inode_of(int fd)
{
	struct stat status;

	return kernel_fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* Maps both files if they are the link that address names; NULL: any. */
static int files_map(const int fd[LINK_FILES], const struct link_address *address,
	struct link_header **header_map, struct link_gate **gate_map)
{
	const struct link_address_file *file = address != NULL ? address->file : NULL;
	int error;
	struct link_header *map =
		file_map(fd[LINK_FILE_HEADER], file != NULL ? &file[LINK_FILE_HEADER] : NULL,
			LINK_HEADER_BYTES, PROT_READ, &error);

	if (map == NULL)
		return error;
	error = -EPROTO;
	*gate_map = NULL;
	if (map->magic == LINK_MAGIC && map->version == LINK_VERSION)
		*gate_map =
			file_map(fd[LINK_FILE_SLOTS], file != NULL ? &file[LINK_FILE_SLOTS] : NULL,
				LINK_BYTES, PROT_READ | PROT_WRITE, &error);
	if (*gate_map == NULL) {
		munmap(map, LINK_HEADER_BYTES);
		return error;
	}
	*header_map = map;
	return 0;
}

static int link_map(const int fd[LINK_FILES], const struct link_address *address)
{
	int error = files_map(fd, address, &header, &gate);

	if (error == 0)
		header_inode = inode_of(fd[LINK_FILE_HEADER]);
	return error;
}

int link_join(const struct link_address *address)
{
	int fd[LINK_FILES];
	uint32_t listener;
	int error;

	origin = *address;
	for (unsigned i = 0; i < LINK_FILES; i++)
		fd[i] = address->file[i].fd;
	error = link_map(fd, address);
	if (error != 0) {
		error = link_socket_fetch(address->socket, address->token, fd, &listener);
		if (error != 0)
			return error;
		error = link_map(fd, address);
		/* Of the supervisor that came after the one that the environment is from. */
		if (error == -ESTALE && link_trusts(listener))
			error = link_map(fd, NULL);
		for (unsigned i = 0; i < LINK_FILES; i++)
			kernel_close(fd[i]);
		if (error != 0)
			return error;
	}
	foreign_pids = process_pid_namespace() != header->pid_namespace;
	link_slot_take();
	return 0;
}

bool link_joined(void)
{
	return header != NULL;
}

const struct link_address *link_origin(void)
{
	return &origin;
}

bool link_is_silent(uint64_t now_ns)
{
	uint64_t heartbeat_ms;

	if (header == NULL)
		return false;
	heartbeat_ms = atomic_load_explicit(&header->heartbeat_ms, memory_order_relaxed);
	return heartbeat_ms != 0 && heartbeat_ms < UINT64_MAX - LINK_SILENT_MS &&
	       now_ns / 1000000U > heartbeat_ms + LINK_SILENT_MS;
}

bool link_rests(uint64_t now_ns)
{
	return header != NULL && now_ns / 1000000U < atomic_load_explicit(&header->heartbeat_ms,
							     memory_order_relaxed);
}

bool link_is_orphaned(void)
{
	uint32_t pid = header != NULL && !foreign_pids ? header->supervisor_pid : 0;

	return pid != 0 && kernel_call(SYS_kill, (pid_t)pid, 0, 0, 0, 0, 0) == -ESRCH;
}

bool link_attended(uint64_t now_ns)
{
	uint64_t heartbeat_ms;

	if (header == NULL)
		return false;
	heartbeat_ms = atomic_load_explicit(&header->heartbeat_ms, memory_order_relaxed);
	return heartbeat_ms >= UINT64_MAX - ATTENDED_MS ||
	       now_ns / 1000000U <= heartbeat_ms + ATTENDED_MS;
}

enum link_level link_level(uint64_t now_ns)
{
	uint32_t level;

	if (!link_attended(now_ns))
		return LINK_CALM;
	level = atomic_load_explicit(&header->level, memory_order_relaxed);
	return level < LINK_LEVELS ? (enum link_level)level : LINK_CALM;
}

bool link_tuning_read(uint64_t now_ns, struct link_tuning *tuning)
{
	uint32_t scavenge;
	uint32_t madvise_way;
	uint32_t cpu_permille;
	uint64_t price_ns;

	if (!link_attended(now_ns))
		return false;
	scavenge = atomic_load_explicit(&header->scavenge, memory_order_relaxed);
	madvise_way = atomic_load_explicit(&header->madvise, memory_order_relaxed);
	cpu_permille = atomic_load_explicit(&header->cpu_permille, memory_order_relaxed);
	price_ns = atomic_load_explicit(&header->price_ns, memory_order_relaxed);
	*tuning = (struct link_tuning){
		.scavenge = scavenge < LINK_SCAVENGES ? (enum link_scavenge)scavenge
						      : LINK_SCAVENGE_ADAPTIVE,
		.madvise = madvise_way < LINK_MADVISES ? (enum link_madvise)madvise_way
						       : LINK_MADVISE_AUTO,
		.cpu_permille = cpu_permille <= 1000 ? cpu_permille : 0,
		.price_ns = price_ns <= LINK_PRICE_MAX_NS ? price_ns : 0,
	};
	return true;
}

uint32_t link_sequence(void)
{
	return header == NULL ? 0 : atomic_load_explicit(&header->sequence, memory_order_acquire);
}

static struct link_slot *slots_first(void)
{
	return (struct link_slot *)((char *)gate + LINK_PAGE_BYTES);
}

/* Without a slot a process is asked for all, as it cannot be told apart. */
static uint64_t own_part(uint64_t target_bytes)
{
	struct link_slot *own = slot;
	uint64_t left = LINK_SPARED_WHOLE;

	if (own != NULL)
		left -= atomic_load(&header->spared[own - slots_first()]);
	return target_bytes / LINK_SPARED_WHOLE * left +
	       target_bytes % LINK_SPARED_WHOLE * left / LINK_SPARED_WHOLE;
}

void link_request_read(struct link_request *request)
{
	*request = (struct link_request){.release_level = LINK_CALM};
	if (header == NULL)
		return;
	/* The supervisor writes the fields, then the sequence: they belong together
	 * when it is the same before and after.  A torn read is seen next time. */
	for (int attempt = 0; attempt < 8; attempt++) {
		uint32_t before = atomic_load(&header->sequence);
		uint32_t level = atomic_load(&header->release_level);
		uint64_t target_bytes = own_part(atomic_load(&header->target_bytes));

		request->sequence = before;
		request->release_level = level < LINK_LEVELS ? (enum link_level)level : LINK_CALM;
		request->target_bytes = target_bytes;
		if (atomic_load(&header->sequence) == before)
			return;
	}
}

_Atomic uint32_t *link_sequence_word(void)
{
	return header == NULL ? NULL : &header->sequence;
}

uint32_t link_sequence_bits(void)
{
	struct link_slot *own = slot;
	size_t number = (size_t)getpid();

	if (own != NULL)
		number = (size_t)(own - slots_first());
	return 1U << (number % 32U);
}

uint32_t link_gate_wait_ms(void)
{
	uint32_t wait_ms;

	if (header == NULL)
		return 0;
	wait_ms = atomic_load_explicit(&header->gate_wait_ms, memory_order_relaxed);
	return wait_ms < GATE_WAIT_MS_MAX ? wait_ms : GATE_WAIT_MS_MAX;
}

struct link_gate *link_gate(void)
{
	return gate;
}

bool link_gate_is_limited(void)
{
	return header != NULL &&
	       atomic_load_explicit(&header->gate_limited, memory_order_relaxed) != 0 &&
	       atomic_load_explicit(&gate->credit_bytes, memory_order_relaxed) != UINT64_MAX;
}

bool link_has_wall(void)
{
	return header != NULL &&
	       atomic_load_explicit(&header->headroom_bytes, memory_order_relaxed) != UINT64_MAX;
}

bool link_growth_note(uint64_t bytes)
{
	uint64_t left;
	uint64_t next;

	if (gate == NULL)
		return false;
	left = atomic_load_explicit(&gate->notice_bytes, memory_order_relaxed);
	do {
		if (left == UINT64_MAX)
			return false;
		next = left > bytes ? left - bytes : UINT64_MAX;
	} while (!atomic_compare_exchange_weak(&gate->notice_bytes, &left, next));
	return next == UINT64_MAX;
}

void link_notify_supervisor(void)
{
	if (gate == NULL)
		return;
	atomic_fetch_add(&gate->notify, 1);
	futex_wake(&gate->notify, 1, FUTEX_ALL_BITS);
}

/* What tells whose slot it is stands there as this process wrote it. */
static bool slot_is_ours(const struct link_slot *taken)
{
	uint64_t start_ticks = atomic_load_explicit(&taken->start_ticks, memory_order_relaxed);

	return atomic_load_explicit(&taken->owner, memory_order_relaxed) == slot_owner &&
	       start_ticks != 0 && (uint32_t)start_ticks == (uint32_t)(slot_owner >> 32) &&
	       atomic_load_explicit(&taken->version, memory_order_relaxed) == LINK_VERSION;
}

struct link_slot *link_slot_enter(void)
{
	uint32_t count = atomic_load_explicit(&users, memory_order_relaxed);

	do {
		if ((count & USERS_CLOSED) != 0)
			return NULL;
	} while (!atomic_compare_exchange_weak(&users, &count, count + 1));
	if (slot_is_ours(slot))
		return slot;
	/* It was given away or written over: to write there now would be to lie in another's name.
	 */
	link_slot_leave();
	return NULL;
}

void link_slot_leave(void)
{
	atomic_fetch_sub(&users, 1);
}

/*
 * The slot that this process already has, since exec keeps pid and start time,
 * else the first free one.  Looking at a slot makes its page exist, hence the
 * search ends early.
 */
static struct link_slot *slot_find(uint64_t owner)
{
	struct link_slot *slots = slots_first();
	struct link_slot *first = NULL;
	uint32_t run = 0;

	for (uint32_t i = 0; i < LINK_SLOTS && run < SLOT_SEARCH_RUN; i++) {
		uint64_t other = atomic_load(&slots[i].owner);

		if (other == owner)
			return &slots[i];
		run = other == 0 ? run + 1 : 0;
		if (other == 0 && first == NULL)
			first = &slots[i];
	}
	return first;
}

static void slot_prepare(struct link_slot *fresh, uint64_t start_ticks)
{
	_Static_assert(offsetof(struct link_slot, sequence_done) == 16, "owner, start_ticks, rest");

	/* In this order: the stale counters must never be seen beside a matching start time. */
	atomic_store(&fresh->start_ticks, 0);
	memset((char *)fresh + offsetof(struct link_slot, sequence_done), 0,
		sizeof *fresh - offsetof(struct link_slot, sequence_done));
	atomic_store(&fresh->sequence_done, atomic_load(&header->sequence));
	atomic_store(&fresh->allocator, slot_allocator);
	atomic_store(&fresh->version, LINK_VERSION);
	atomic_store(&fresh->start_ticks, start_ticks);
}

static bool taking_begin(uint32_t from)
{
	return atomic_compare_exchange_strong(&slot_taking, &from, TAKING_BUSY);
}

void link_slot_take(void)
{
	uint64_t start_ticks;
	uint64_t owner;

	if (header == NULL || foreign_pids || atomic_load(&users) != USERS_CLOSED || slot != NULL)
		return;
	if (os_is_sandboxed())
		return;
	if (!taking_begin(TAKING_FREE))
		return;
	start_ticks = process_start_ticks();
	owner = start_ticks << 32 | (uint32_t)getpid();
	for (uint32_t attempt = 0; start_ticks != 0 && attempt < LINK_SLOTS; attempt++) {
		struct link_slot *found = slot_find(owner);
		uint64_t none = 0;

		if (found == NULL)
			break;
		if (atomic_load(&found->owner) == owner ||
			atomic_compare_exchange_strong(&found->owner, &none, owner)) {
			slot_prepare(found, start_ticks);
			slot = found;
			slot_owner = owner;
			if (atomic_exchange(&inherits, false))
				heap_stats_read(&inherited);
			atomic_store(&users, 0);
			link_slot_publish();
			break;
		}
	}
	atomic_store(&slot_taking, slot != NULL ? TAKING_FREE : TAKING_NONE);
}

/* The slot is nobody's to use, and nobody takes one, until taking is free again. */
static bool slot_close(void)
{
	uint32_t none = 0;

	if (slot == NULL)
		return taking_begin(TAKING_FREE) || taking_begin(TAKING_NONE);
	if (!atomic_compare_exchange_strong(&users, &none, USERS_CLOSED))
		return false;
	if (taking_begin(TAKING_FREE))
		return true;
	atomic_store(&users, 0);
	return false;
}

/*
 * Takes another slot in the place of one that is no longer this process's, or where there was none
 * left.  Not more than once in LINK_SLOT_AGAIN_NS, since the one who wrote over it may do so again
 * and again.  The scavenger's thread sleeps by the number of its slot, so it is woken.
 */
static void slot_renew(void)
{
	uint64_t due_ns = atomic_load(&renew_ns);
	uint64_t now_ns;
	uint32_t bits;

	/* Before any system call, which a filter may not let pass. */
	if (header == NULL || (slot == NULL && atomic_load(&slot_taking) != TAKING_NONE) ||
		os_is_sandboxed())
		return;
	now_ns = os_now_ns();
	bits = link_sequence_bits();
	if (now_ns < due_ns ||
		!atomic_compare_exchange_strong(&renew_ns, &due_ns, now_ns + LINK_SLOT_AGAIN_NS) ||
		!slot_close())
		return;
	slot = NULL;
	atomic_store(&slot_taking, TAKING_FREE);
	link_slot_take();
	if (slot != NULL)
		futex_wake(&header->sequence, INT32_MAX, bits);
}

/*
 * The new files in the place of the old ones: no pointer changes, and who looks meanwhile sees one
 * or the other.  Both could be mapped elsewhere a moment ago, so the kernel does not refuse now.
 * The header last: a child that is forked in between still finds it silent.
 */
static int files_swap(const int fd[LINK_FILES])
{
	/* Of size 0: the same pages once more.  Whoever sleeps there must be woken. */
	struct link_header *old_header = mremap(header, 0, LINK_HEADER_BYTES, MREMAP_MAYMOVE);
	struct link_gate *old_gate = mremap(gate, 0, LINK_PAGE_BYTES, MREMAP_MAYMOVE);
	int error = 0;

	if (old_header == MAP_FAILED || old_gate == MAP_FAILED ||
		mmap(gate, LINK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			fd[LINK_FILE_SLOTS], 0) == MAP_FAILED ||
		mmap(header, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED,
			fd[LINK_FILE_HEADER], 0) == MAP_FAILED)
		error = -errno;
	if (old_header != MAP_FAILED) {
		futex_wake(&old_header->sequence, INT32_MAX, FUTEX_ALL_BITS);
		munmap(old_header, LINK_HEADER_BYTES);
	}
	if (old_gate != MAP_FAILED) {
		futex_wake(&old_gate->turn, INT32_MAX, FUTEX_ALL_BITS);
		munmap(old_gate, LINK_PAGE_BYTES);
	}
	return error;
}

int link_replace(const int fd[LINK_FILES])
{
	struct link_header *header_map = NULL;
	struct link_gate *gate_map = NULL;
	uint64_t inode = inode_of(fd[LINK_FILE_HEADER]);
	int error;

	if (inode == header_inode)
		return -EALREADY;
	error = files_map(fd, NULL, &header_map, &gate_map);
	if (error != 0)
		return error;
	munmap(header_map, LINK_HEADER_BYTES);
	munmap(gate_map, LINK_BYTES);
	if (!slot_close())
		return -EBUSY;
	error = files_swap(fd);
	if (error == 0) {
		header_inode = inode;
		foreign_pids = process_pid_namespace() != header->pid_namespace;
		slot = NULL;
	} else if (slot != NULL) {
		atomic_store(&users, 0);
	}
	atomic_store(&slot_taking, TAKING_FREE);
	link_slot_take();
	return error;
}

void link_slot_free(void)
{
	uint32_t none = 0;
	uint64_t owner = slot_owner;

	if (slot == NULL || !atomic_compare_exchange_strong(&users, &none, USERS_CLOSED) ||
		atomic_load(&slot->owner) != owner)
		return;
	/* First: what has no start time is not read as a slot. */
	atomic_store(&slot->start_ticks, 0);
	atomic_compare_exchange_strong(&slot->owner, &owner, 0);
}

/* What this process adds to the sums of its service. */
static uint64_t own_figure(enum figure_kind kind, uint64_t value, uint64_t inherited_value)
{
	if (kind != FIGURE_TOTAL)
		return value;
	return value > inherited_value ? value - inherited_value : 0;
}

void link_figures_write(_Atomic uint64_t *first, const struct heap_stats *stats)
{
	struct figures {
		FIGURES_OF_SLOT(LINK_MEMBER)
	} *to = (struct figures *)first;

#define WRITE(name, kind, attribute) \
	atomic_store_explicit(&to->name, own_figure(FIGURE_##kind, stats->name, inherited.name), \
		memory_order_relaxed);
	FIGURES_LINKED(WRITE)
#undef WRITE
	atomic_store_explicit(&to->free_slots_bytes, stats->free_slot_bytes, memory_order_relaxed);
	atomic_store_explicit(&to->fault_page_ns, stats->refault_page_ns, memory_order_relaxed);
}

void link_slot_publish(void)
{
	struct link_slot *own = link_slot_enter();
	struct heap_stats stats;

	if (own == NULL) {
		slot_renew();
		return;
	}
	heap_stats_read(&stats);
	link_figures_write(&own->in_use_bytes, &stats);
	link_slot_leave();
}

void link_allocator_set(enum link_allocator allocator)
{
	slot_allocator = allocator;
}

void link_fork_child(void)
{
	slot = NULL;
	atomic_store(&inherits, true);
	atomic_store(&users, USERS_CLOSED);
	atomic_store(&slot_taking, TAKING_FREE);
}
