/* The page that processes share which were forked from one another. */
#include "shim/family.h"

#include "shim/futex.h"
#include "supervisor/policy/fraction.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
#define ROWS 64U
/* Of the futex's bits, the lower half is for processes, the upper one for walls. */
#define BITS 16U

struct family_row {
	_Atomic uint64_t wall;
	_Atomic uint64_t bytes;
	_Atomic uint64_t until_ns; /* of CLOCK_MONOTONIC */
	_Atomic uint64_t pid;
};

struct family_page {
	_Atomic uint32_t word;
	_Atomic uint32_t calls[BITS]; /* by wall */
	struct family_row row[ROWS];
};

_Static_assert(sizeof(struct family_page) <= 4096, "one page");

static struct family_page *_Atomic page;

void family_fork_prepare(void)
{
	struct family_page *none = NULL;
	struct family_page *made;

	if (atomic_load(&page) != NULL)
		return;
	made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return;
	if (!atomic_compare_exchange_strong(&page, &none, made))
		munmap(made, sizeof *made);
}

_Atomic uint32_t *family_word(void)
{
	struct family_page *shared = atomic_load(&page);

	return shared != NULL ? &shared->word : NULL;
}

uint32_t family_bits_own(void)
{
	return 1U << (unsigned)getpid() % BITS;
}

uint32_t family_bits_wall(uint64_t wall)
{
	return 1U << (BITS + wall % BITS);
}

void family_need_set(uint64_t wall, uint64_t bytes, uint64_t now_ns)
{
	struct family_page *shared = atomic_load(&page);
	uint64_t pid = (uint64_t)getpid();
	struct family_row *row;

	if (shared == NULL)
		return;
	row = &shared->row[pid % ROWS];
	if (bytes == 0) {
		if (atomic_load(&row->pid) == pid)
			atomic_store(&row->until_ns, 0);
		return;
	}
	atomic_store(&row->until_ns, 0);
	atomic_store(&row->pid, pid);
	atomic_store(&row->wall, wall);
	atomic_store(&row->bytes, bytes);
	atomic_store(&row->until_ns, now_ns + FAMILY_NEED_MS * MS_NS);
}

uint64_t family_needs(uint64_t wall, uint64_t now_ns)
{
	struct family_page *shared = atomic_load(&page);
	uint64_t pid = (uint64_t)getpid();
	uint64_t sum = 0;

	for (size_t i = 0; shared != NULL && i < ROWS; i++) {
		const struct family_row *row = &shared->row[i];
		uint64_t until_ns = atomic_load(&row->until_ns);

		/* No further ahead than anybody sets it. */
		if (until_ns > now_ns && until_ns - now_ns <= FAMILY_NEED_MS * MS_NS &&
			atomic_load(&row->wall) == wall && atomic_load(&row->pid) != pid)
			sum = fraction_plus(sum, atomic_load(&row->bytes));
	}
	return sum;
}

void family_wake(uint64_t wall)
{
	struct family_page *shared = atomic_load(&page);

	if (shared == NULL)
		return;
	atomic_fetch_add(&shared->calls[wall % BITS], 1);
	atomic_fetch_add(&shared->word, 1);
	futex_wake(&shared->word, INT32_MAX, family_bits_wall(wall));
}

uint32_t family_calls(uint64_t wall)
{
	struct family_page *shared = atomic_load(&page);

	return shared != NULL ? atomic_load(&shared->calls[wall % BITS]) : 0;
}
