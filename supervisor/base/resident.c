/* Gives back what only a start or a busy time has needed. */
#include "supervisor/base/resident.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the program, and of a few libraries. */
#define SEGMENTS_MAX 32

/* More than any function of ours has of local variables at a time. */
#define STACK_BYTES ((uintptr_t)128 << 10)

static void give_back(uintptr_t from, uintptr_t to)
{
	if (from < to)
		madvise((void *)from, to - from,
			MADV_DONTNEED); /* NOLINT(performance-no-int-to-ptr) */
}

/* Noted first: the list of segments is in one of them. */
struct segments {
	size_t count;
	struct {
		uintptr_t from;
		uintptr_t to;
	} segment[SEGMENTS_MAX];
};

/* Relocated constants are in a segment that can be written. */
static int note_object(struct dl_phdr_info *object, size_t size, void *context)
{
	struct segments *noted = context;
	uintptr_t page_bytes = (uintptr_t)getpagesize();
	(void)size;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t from = object->dlpi_addr + segment->p_vaddr;
		uintptr_t to = from + segment->p_memsz;
		if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
			continue;
		if (noted->count == SEGMENTS_MAX)
			return 1;
		noted->segment[noted->count].from = from & ~(page_bytes - 1);
		noted->segment[noted->count++].to = (to + page_bytes - 1) & ~(page_bytes - 1);
	}
	return 0;
}

void resident_give_back(void)
{
	uintptr_t page_bytes = (uintptr_t)getpagesize();
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0) & ~(page_bytes - 1);
	struct segments noted = {0};
	malloc_trim(0);
	give_back(frame - STACK_BYTES, frame - page_bytes);
	dl_iterate_phdr(note_object, &noted);
	for (size_t i = 0; i < noted.count; i++)
		give_back(noted.segment[i].from, noted.segment[i].to);
}
