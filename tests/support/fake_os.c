/* The real functions under other names, so that the heap's calls come here. */
#define os_page_bytes real_os_page_bytes
#define os_reserve real_os_reserve
#define os_reserve_at real_os_reserve_at
#define os_commit real_os_commit
#define os_decommit real_os_decommit
#define os_unreserve real_os_unreserve
#define os_map_resize real_os_map_resize
#define os_map_move real_os_map_move
#define os_move_pages real_os_move_pages
#define os_map real_os_map
#define os_unmap real_os_unmap
#define os_advise real_os_advise
#define os_has_huge_pages real_os_has_huge_pages
#define os_now_ns real_os_now_ns
#define os_now_coarse_ns real_os_now_coarse_ns
#define os_cpu_ns real_os_cpu_ns
#define os_touch real_os_touch
#define os_fence_threads real_os_fence_threads
#define os_wait real_os_wait
#include "shim/os_linux.c" /* NOLINT(bugprone-suspicious-include) */
#undef os_page_bytes
#undef os_reserve
#undef os_reserve_at
#undef os_commit
#undef os_decommit
#undef os_unreserve
#undef os_map_resize
#undef os_map_move
#undef os_move_pages
#undef os_map
#undef os_unmap
#undef os_advise
#undef os_has_huge_pages
#undef os_now_ns
#undef os_now_coarse_ns
#undef os_cpu_ns
#undef os_touch
#undef os_fence_threads
#undef os_wait

#include "tests/support/fake_os.h"

size_t os_page_bytes(void);
void *os_reserve(size_t bytes, size_t alignment);
enum os_reserved os_reserve_at(void *start, size_t bytes);
int os_commit(void *start, size_t bytes);
int os_decommit(void *start, size_t bytes);
void os_unreserve(void *start, size_t bytes);
void *os_map(size_t bytes, size_t alignment);
int os_unmap(void *start, size_t bytes);
int os_map_resize(void *start, size_t bytes, size_t new_bytes);
int os_map_move(void *start, size_t bytes, void *to, size_t new_bytes);
int os_move_pages(void *start, size_t bytes, void *to);
int os_advise(const struct os_range *ranges, size_t count, enum os_advice advice);
bool os_has_huge_pages(void);
uint64_t os_now_ns(void);
uint64_t os_now_coarse_ns(void);
uint64_t os_cpu_ns(void);
void os_touch(void *start, size_t bytes);
int os_fence_threads(void);
void os_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns);

struct fake_os fake_os;

/* Everything that was reserved, for fake_os_unmap. */
#define MAPPED_MAX 4096U

static struct {
	void *_Atomic starts[MAPPED_MAX]; /* NULL: it was unmapped again */
	_Atomic size_t bytes[MAPPED_MAX];
	_Atomic uint32_t count;
} mapped;

static uint32_t mapped_count(void)
{
	uint32_t count = atomic_load(&mapped.count);

	return count < MAPPED_MAX ? count : MAPPED_MAX;
}

static bool is_refused(void)
{
	uint64_t call_number = atomic_fetch_add(&fake_os.calls, 1) + 1;
	uint64_t refuse_at = atomic_load(&fake_os.refuse_at);

	if (refuse_at == 0)
		return false;
	return call_number == refuse_at ||
	       (call_number > refuse_at && atomic_load(&fake_os.refuse_all_from));
}

static void let_happen(enum fake_os_call call, const void *start)
{
	void (*meanwhile)(enum fake_os_call call, const void *start) =
		atomic_load(&fake_os.meanwhile);

	if (meanwhile != NULL)
		meanwhile(call, start);
}

static void charge(uint64_t ns)
{
	if (atomic_load(&fake_os.cpu_ns) != 0)
		atomic_fetch_add(&fake_os.cpu_ns, ns);
}

uint64_t os_cpu_ns(void)
{
	uint64_t (*work_ns)(void) = atomic_load(&fake_os.work_ns);

	charge(FAKE_OS_READ_CPU_NS);
	if (atomic_load(&fake_os.cpu_ns) == 0)
		return real_os_cpu_ns();
	return atomic_load(&fake_os.cpu_ns) + (work_ns != NULL ? work_ns() : 0);
}

void os_touch(void *start, size_t bytes)
{
	charge(bytes / real_os_page_bytes() * FAKE_OS_TOUCH_CPU_NS);
	real_os_touch(start, bytes);
}

static void remember(void *start, size_t bytes)
{
	uint32_t i;

	for (i = 0; i < mapped_count(); i++) {
		void *none = NULL;

		if (atomic_compare_exchange_strong(&mapped.starts[i], &none, start))
			break;
	}
	if (i == mapped_count())
		i = atomic_fetch_add(&mapped.count, 1);
	if (i >= MAPPED_MAX)
		return;
	atomic_store(&mapped.bytes[i], bytes);
	atomic_store(&mapped.starts[i], start);
}

/* What begins there, or ends there. */
static void forget(void *start, size_t bytes)
{
	for (uint32_t i = 0; i < mapped_count(); i++) {
		unsigned char *known = atomic_load(&mapped.starts[i]);

		if (known == start)
			atomic_store(&mapped.starts[i], NULL);
		else if (known != NULL && known < (unsigned char *)start &&
			 known + atomic_load(&mapped.bytes[i]) == (unsigned char *)start + bytes)
			atomic_fetch_sub(&mapped.bytes[i], bytes);
	}
}

size_t os_page_bytes(void)
{
	size_t bytes = atomic_load(&fake_os.page_bytes);

	return bytes != 0 ? bytes : real_os_page_bytes();
}

void *os_reserve(size_t bytes, size_t alignment)
{
	size_t most = atomic_load(&fake_os.reserve_bytes_max);
	void *start;

	if (is_refused() || (most != 0 && bytes > most))
		return NULL;
	start = real_os_reserve(bytes, alignment);
	if (start != NULL)
		remember(start, bytes);
	return start;
}

enum os_reserved os_reserve_at(void *start, size_t bytes)
{
	size_t most = atomic_load(&fake_os.reserve_bytes_max);
	enum os_reserved result;

	if (atomic_load(&fake_os.occupied))
		return OS_OCCUPIED;
	if (is_refused() || (most != 0 && bytes > most))
		return OS_REFUSED;
	result = real_os_reserve_at(start, bytes);
	if (result == OS_RESERVED)
		remember(start, bytes);
	return result;
}

void os_unreserve(void *start, size_t bytes)
{
	forget(start, bytes);
	real_os_unreserve(start, bytes);
}

void *os_map(size_t bytes, size_t alignment)
{
	void *start = is_refused() ? NULL : real_os_map(bytes, alignment);

	if (start != NULL)
		remember(start, bytes);
	return start;
}

int os_unmap(void *start, size_t bytes)
{
	forget(start, bytes);
	return real_os_unmap(start, bytes);
}

int os_map_resize(void *start, size_t bytes, size_t new_bytes)
{
	if (is_refused() || real_os_map_resize(start, bytes, new_bytes) != 0)
		return -ENOMEM;
	forget(start, bytes);
	remember(start, new_bytes);
	return 0;
}

int os_map_move(void *start, size_t bytes, void *to, size_t new_bytes)
{
	if (is_refused() || real_os_map_move(start, bytes, to, new_bytes) != 0)
		return -ENOMEM;
	forget(start, bytes);
	return 0;
}

int os_move_pages(void *start, size_t bytes, void *to)
{
	return is_refused() || atomic_load(&fake_os.refuse_moves)
		       ? -EINVAL
		       : real_os_move_pages(start, bytes, to);
}

bool fake_os_unmap(void)
{
	bool all = atomic_load(&mapped.count) <= MAPPED_MAX;

	for (uint32_t i = 0; i < mapped_count(); i++) {
		void *start = atomic_exchange(&mapped.starts[i], NULL);

		/* By libc's name: a sanitizer has a shadow there to give back. */
		if (start != NULL)
			munmap(start, atomic_load(&mapped.bytes[i]));
	}
	atomic_store(&mapped.count, 0);
	return all;
}

int os_commit(void *start, size_t bytes)
{
	let_happen(FAKE_OS_COMMIT, start);
	return is_refused() ? -ENOMEM : real_os_commit(start, bytes);
}

int os_decommit(void *start, size_t bytes)
{
	return is_refused() ? -ENOMEM : real_os_decommit(start, bytes);
}

int os_advise(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	void (*watch)(const struct os_range *ranges, size_t count, enum os_advice advice);

	let_happen(FAKE_OS_ADVISE, ranges[0].start);
	charge(FAKE_OS_ADVISE_CPU_NS);
	for (size_t i = 0; i < count; i++)
		charge(ranges[i].bytes / real_os_page_bytes() * FAKE_OS_PAGE_CPU_NS);
	atomic_fetch_add(&fake_os.advised[advice], 1);
	if (is_refused() || (advice <= OS_DONTNEED && atomic_load(&fake_os.refuse_advice)))
		return -EINVAL;
	watch = atomic_load(&fake_os.watch);
	if (watch != NULL)
		watch(ranges, count, advice);
	if (advice == OS_HUGE || advice == OS_SMALL)
		return 0;
	return real_os_advise(ranges, count, advice);
}

bool os_has_huge_pages(void)
{
	return atomic_load(&fake_os.huge_pages);
}

static uint64_t now_base_ns(uint64_t real_ns)
{
	uint64_t stands_ns = atomic_load(&fake_os.now_stands_ns);

	return stands_ns != 0 ? stands_ns : real_ns;
}

uint64_t os_now_ns(void)
{
	return now_base_ns(real_os_now_ns()) + atomic_load(&fake_os.now_ahead_ns);
}

uint64_t os_now_coarse_ns(void)
{
	return now_base_ns(real_os_now_coarse_ns()) + atomic_load(&fake_os.now_ahead_ns);
}

int os_fence_threads(void)
{
	let_happen(FAKE_OS_FENCE, NULL);
	atomic_fetch_add(&fake_os.fences, 1);
	if (atomic_load(&fake_os.refuse_fence))
		return -ENOSYS;
	return atomic_load(&fake_os.skip_fence) ? 0 : real_os_fence_threads();
}

void os_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	atomic_fetch_add(&fake_os.waits, 1);
	real_os_wait(word, expected, timeout_ns);
}
