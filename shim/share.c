/* The process's page of figures, for whoever looks from outside. */
#include "shim/share.h"

#include "shim/cgroup_place.h"
#include "shim/environment.h"
#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/kernel.h"
#include "shim/level.h"
#include "shim/link.h"
#include "shim/process.h"
#include "shim/settings.h"
#include "shim/share_dead.h"
#include "shim/share_page.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY_CHARS 200U
#define PATH_BYTES (DIRECTORY_CHARS + 1 + SHARE_NAME_BYTES)

static bool wanted;
/* "": the usual ones. */
static char directory[DIRECTORY_CHARS + 1];
/* Of this process's file, while there is one. */
static char path[PATH_BYTES];
static struct share_page *_Atomic page;

void share_init(char **environment)
{
	const char *value =
		environment != NULL ? environment_find(environment, SHARE_ENVIRONMENT) : "off";
	size_t length;

	wanted = value == NULL || strcmp(value, "off") != 0;
	if (value == NULL || strcmp(value, "off") == 0 || strcmp(value, "auto") == 0)
		return;
	length = strnlen(value, DIRECTORY_CHARS + 1);
	if (value[0] == '/' && length <= DIRECTORY_CHARS)
		memmove(directory, value, length + 1);
	else
		environment_complain(
			SHARE_ENVIRONMENT, value, "auto, off, or the absolute path of a directory");
}

/* What a small file of /proc says, as a string; "" without. */
static void file_read(const char *name, char *text, size_t bytes)
{
	int fd = kernel_open(name, O_RDONLY | O_CLOEXEC, 0);
	long length = fd >= 0 ? kernel_read(fd, text, bytes - 1) : 0;

	if (fd >= 0)
		kernel_close(fd);
	text[length > 0 ? length : 0] = '\0';
}

/* Mapped while the page is made: too much for a small stack. */
struct making {
	union {
		struct share_page page;
		char bytes[SHARE_PAGE_BYTES];
	} first;
	struct cgroup_room room;
};

#define MAKING_BYTES ((sizeof(struct making) + 65535) / 65536 * 65536)

static void place_fill(struct share_page *made, struct cgroup_room *room)
{
	int root_fd = kernel_open("/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	const char *place = room->v2;

	if (root_fd < 0)
		return;
	(void)cgroup_place_read(root_fd, room);
	kernel_close(root_fd);
	if (room->v1[0] != '\0')
		place = room->v1;
	memmove(made->cgroup, place, strnlen(place, SHARE_CGROUP_BYTES));
}

/* The page as it is in the beginning. */
static void page_fill(struct share_page *made, struct cgroup_room *room)
{
	char name[SHARE_COMMAND_BYTES + 1];

	made->magic = SHARE_MAGIC;
	made->version = SHARE_VERSION;
	made->pid = (uint32_t)getpid();
	made->uid = (uint32_t)kernel_call(SYS_getuid, 0, 0, 0, 0, 0, 0);
	made->start_ticks = process_start_ticks();
	made->pid_namespace = process_pid_namespace();
	made->limit_bytes = UINT64_MAX;
	file_read("/proc/self/comm", name, sizeof name);
	name[strcspn(name, "\n")] = '\0';
	memmove(made->command, name, strnlen(name, SHARE_COMMAND_BYTES));
	place_fill(made, room);
}

/* A write beyond it would send SIGXFSZ. */
static bool may_write_file(void)
{
	struct rlimit limit = {0};
	long result = kernel_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);

	return result == 0 && limit.rlim_cur >= SHARE_PAGE_BYTES;
}

static int file_create(void)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = kernel_open(path, flags, 0644);

	/* Of the program that this process was before exec. */
	if (fd == -EEXIST && kernel_call(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0) == 0)
		fd = kernel_open(path, flags, 0644);
	return fd;
}

/* NULL: it is not to be had there, and nothing is left behind. */
static struct share_page *page_make(const char *where, const struct share_page *first)
{
	long map = -ENOSPC;
	int fd;

	snprintf(path, sizeof path, "%s/" SHARE_NAME_PREFIX "%llu.%u.%llu", where,
		(unsigned long long)first->pid_namespace, first->pid,
		(unsigned long long)first->start_ticks);
	fd = file_create();
	if (fd < 0)
		return NULL;
	/* Written, not only made longer: a page without space behind it would be SIGBUS. */
	if (kernel_write(fd, first, SHARE_PAGE_BYTES) == SHARE_PAGE_BYTES)
		map = kernel_call(
			SYS_mmap, 0, SHARE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (kernel_is_error(map))
		(void)kernel_call(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
	kernel_close(fd);
	return kernel_is_error(map) ? NULL : (struct share_page *)map;
}

static struct share_page *page_make_somewhere(const struct share_page *first)
{
	static const char *const usual[] = {SHARE_DIRECTORY_RUN, SHARE_DIRECTORY_SHM};
	const char *own[] = {directory};
	const char *const *where = directory[0] != '\0' ? own : usual;
	size_t count = directory[0] != '\0' ? 1 : sizeof usual / sizeof usual[0];

	for (size_t i = 0; i < count; i++) {
		struct share_page *made = page_make(where[i], first);

		if (made == NULL)
			continue;
		share_dead_remove(where[i], first->pid_namespace);
		return made;
	}
	path[0] = '\0';
	return NULL;
}

void share_begin(void)
{
	struct making *making;
	struct share_page *first;

	if (!wanted || atomic_load(&page) != NULL || os_is_sandboxed() || !may_write_file())
		return;
	making = os_map(MAKING_BYTES, os_page_bytes());
	if (making == NULL)
		return;
	first = &making->first.page;
	page_fill(first, &making->room);
	if (first->start_ticks != 0 && first->pid_namespace != 0)
		atomic_store(&page, page_make_somewhere(first));
	os_unmap(making, MAKING_BYTES);
	share_publish(os_now_ns());
}

static uint64_t wall_clock_ms(void)
{
	struct timespec now;

	/* A variable of the kernel's: no system call, whatever the clock's source. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void store(_Atomic uint64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void sample_write(struct share_page *to, const struct heap_stats *stats, uint64_t at_ms)
{
	uint32_t count = atomic_load(&to->sample_count);
	struct share_sample *sample = &to->sample[(count - 1) % SHARE_SAMPLES];

	/* The clock may have been set back. */
	if (count == 0 || at_ms - load(&sample->at_ms) >= SHARE_SAMPLE_MS) {
		sample = &to->sample[count % SHARE_SAMPLES];
		atomic_store(&to->sample_count, count + 1);
	}
	store(&sample->at_ms, at_ms);
	store(&sample->usage_bytes, load(&to->usage_bytes));
	store(&sample->limit_bytes, load(&to->limit_bytes));
	store(&sample->live_bytes, stats->in_use_bytes - stats->free_slot_bytes);
	store(&sample->idle_bytes, stats->idle_dirty_bytes + stats->free_slot_bytes);
	store(&sample->lazy_bytes, stats->lazy_bytes);
	store(&sample->cache_bytes, load(&to->cache_bytes));
}

static void figures_write(struct share_page *to, const struct heap_stats *stats, uint64_t now_ns)
{
	struct heap_tuning tuning;

	link_figures_write(&to->in_use_bytes, stats);
	settings_read(&tuning);
	store(&to->price_ns, tuning.price_ns);
	atomic_store(&to->level, (uint32_t)level_in_force(now_ns));
}

struct walls_told {
	uint64_t limit_bytes;
	uint64_t usage_bytes;
	uint64_t cache_bytes;
};

static void publish(const struct walls_told *walls, uint64_t now_ns)
{
	struct share_page *to = atomic_load(&page);
	struct heap_stats stats;
	uint64_t at_ms;
	uint32_t even;

	if (to == NULL)
		return;
	even = atomic_load(&to->sequence) & ~1U;
	if (!atomic_compare_exchange_strong(&to->sequence, &even, even + 1))
		return;
	heap_stats_read(&stats);
	at_ms = wall_clock_ms();
	if (walls != NULL) {
		store(&to->limit_bytes, walls->limit_bytes);
		store(&to->usage_bytes, walls->usage_bytes);
		store(&to->cache_bytes, walls->cache_bytes);
		store(&to->walls_ms, at_ms);
	}
	figures_write(to, &stats, now_ns);
	store(&to->updated_ms, at_ms);
	sample_write(to, &stats, at_ms);
	atomic_store(&to->sequence, even + 2);
}

void share_publish(uint64_t now_ns)
{
	publish(NULL, now_ns);
}

void share_publish_walls(
	uint64_t limit_bytes, uint64_t usage_bytes, uint64_t cache_bytes, uint64_t now_ns)
{
	const struct walls_told walls = {
		.limit_bytes = limit_bytes,
		.usage_bytes = usage_bytes,
		.cache_bytes = cache_bytes,
	};

	publish(&walls, now_ns);
}

void share_end(void)
{
	/* A filter may kill for the call; then the file stays, as that of a process that was
	 * killed. */
	if (atomic_load(&page) != NULL && !os_is_sandboxed())
		(void)kernel_call(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}

void share_fork_child(void)
{
	struct share_page *parents = atomic_exchange(&page, NULL);

	if (parents != NULL)
		os_unmap(parents, SHARE_PAGE_BYTES);
}
