/* What an ELF file says of itself: its loader and the libraries that it needs. */
#include "supervisor/process/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/runtime.h"

/* Far above what linkers write, far below what would hurt us. */
#define SEGMENTS_MAX 1024
#define DYNAMIC_BYTES_MAX (1U << 20)
#define STRINGS_BYTES_MAX (8U << 20)
#define NOTES_BYTES_MAX (64U << 10)
#define HEAD_BYTES 4096U

#if __ELF_NATIVE_CLASS == 64
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_DATA ELFDATA2LSB
#else
#define NATIVE_DATA ELFDATA2MSB
#endif

/* What a sanitizer leaves behind in the dynamic strings: the name of its runtime, or,
 * linked into the program, the entry that is exported for instrumented libraries. */
static const char *const sanitizer_strings[] = {
	"libasan.so.",
	"libtsan.so.",
	"liblsan.so.",
	"libubsan.so.",
	"libhwasan.so.",
	"libclang_rt.asan",
	"libclang_rt.tsan",
	"libclang_rt.msan",
	"libclang_rt.hwasan",
	"libclang_rt.ubsan",
	"__asan_init",
	"__tsan_init",
	"__msan_init",
	"__lsan_init",
	"__hwasan_init",
};

/* A file, and what stands at its beginning: most of what is asked of a small program. */
struct source {
	int fd;
	size_t head_bytes;
	char head[HEAD_BYTES];
};

static int read_head(struct source *source)
{
	ssize_t got;
	do
		got = pread(source->fd, source->head, sizeof source->head, 0);
	while (got < 0 && errno == EINTR);
	source->head_bytes = got > 0 ? (size_t)got : 0;
	return got >= 0 ? 0 : -errno;
}

static int read_exactly(const struct source *source, void *to, size_t size, uint64_t offset)
{
	char *at = to;
	if (size <= source->head_bytes && offset <= source->head_bytes - size) {
		memcpy(to, source->head + offset, size);
		return 0;
	}
	while (size > 0) {
		ssize_t got = pread(source->fd, at, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EINVAL;
		at += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

/* A new block; the caller's to free. */
static int read_block(
	const struct source *source, uint64_t offset, uint64_t size, uint64_t most, void **block)
{
	if (size == 0 || size > most || offset > INT64_MAX - size)
		return -EINVAL;
	void *made = malloc(size);
	if (made == NULL)
		return -ENOMEM;
	int error = read_exactly(source, made, size, offset);
	if (error != 0)
		free(made);
	else
		*block = made;
	return error;
}

/* Where the bytes of an address stand in the file, and how many follow in that segment. */
static bool find_address(const ElfW(Phdr) * segment, size_t count, uint64_t address,
	uint64_t *offset, uint64_t *room)
{
	for (size_t i = 0; i < count; i++) {
		if (segment[i].p_type != PT_LOAD || address < segment[i].p_vaddr)
			continue;
		uint64_t into = address - segment[i].p_vaddr;
		if (into >= segment[i].p_filesz)
			continue;
		*offset = segment[i].p_offset + into;
		*room = segment[i].p_filesz - into;
		return true;
	}
	return false;
}

/* The libraries of allocators, and names of their functions that only they have: needed from a
 * library, or exported by the program that they are linked into. */
static const char *const allocator_strings[] = {
	"libjemalloc.so",
	"libtcmalloc",
	"libmimalloc",
	"mallctl",
	"je_mallctl",
	"_rjem_mallctl",
	"MallocExtension_",
	"mi_collect",
};

#define ALLOCATOR_LIBRARIES 3U

/* The first of the known names that a string begins with; NULL: none does. */
static const char *find_name(const char *strings, size_t size, const char *known)
{
	size_t length = strlen(known);
	const char *end = strings + size;
	const char *at = strings;
	/* Names start after the NUL of the one before. */
	while ((at = memmem(at, (size_t)(end - at), known, length)) != NULL) {
		if (at == strings || at[-1] == '\0')
			return at;
		at++;
	}
	return NULL;
}

static void find_names(const char *strings, size_t size, const char *const *known, size_t count,
	char text[ELF_FILE_TEXT_BYTES])
{
	for (size_t i = 0; i < count && text[0] == '\0'; i++) {
		const char *found = find_name(strings, size, known[i]);
		if (found == NULL)
			continue;
		size_t length = strnlen(found, size - (size_t)(found - strings));
		if (length >= ELF_FILE_TEXT_BYTES)
			length = ELF_FILE_TEXT_BYTES - 1;
		memcpy(text, found, length);
	}
}

static void find_strings(const char *strings, size_t size, struct elf_file *file)
{
	find_names(strings, size, sanitizer_strings,
		sizeof sanitizer_strings / sizeof sanitizer_strings[0], file->sanitizer);
	find_names(strings, size, allocator_strings,
		sizeof allocator_strings / sizeof allocator_strings[0], file->allocator);
}

bool elf_file_names_allocator(const char *preloads)
{
	for (size_t i = 0; i < ALLOCATOR_LIBRARIES; i++)
		if (strstr(preloads, allocator_strings[i]) != NULL)
			return true;
	return false;
}

static int read_dynamic(const struct source *source, const ElfW(Phdr) * segment, size_t count,
	const ElfW(Phdr) * dynamic, struct elf_file *file)
{
	ElfW(Dyn) *entry = NULL;
	void *block = NULL;
	char *strings = NULL;
	uint64_t address = 0;
	uint64_t size = 0;
	uint64_t offset;
	uint64_t room;
	int error =
		read_block(source, dynamic->p_offset, dynamic->p_filesz, DYNAMIC_BYTES_MAX, &block);
	if (error != 0)
		return error;
	entry = block;
	for (size_t i = 0; i < dynamic->p_filesz / sizeof *entry; i++) {
		if (entry[i].d_tag == DT_STRTAB)
			address = entry[i].d_un.d_ptr;
		else if (entry[i].d_tag == DT_STRSZ)
			size = entry[i].d_un.d_val;
		else if (entry[i].d_tag == DT_NULL)
			break;
	}
	if (size == 0)
		goto out;
	error = -EINVAL;
	if (!find_address(segment, count, address, &offset, &room) || size > room)
		goto out;
	void *read_strings = NULL;
	error = read_block(source, offset, size, STRINGS_BYTES_MAX, &read_strings);
	strings = read_strings;
	if (error == 0) {
		find_strings(strings, size, file);
		if (file->runtime == CONFIG_RUNTIME_AUTO)
			file->runtime = runtime_of_strings(strings, size);
	}
out:
	free(strings);
	free(entry);
	return error;
}

/* Notes decide nothing about the library: broken ones are none. */
static void read_notes(
	const struct source *source, const ElfW(Phdr) * segment, struct elf_file *file)
{
	void *block = NULL;
	size_t size = segment->p_filesz;
	size_t align = segment->p_align == 8 ? 8 : 4;
	ElfW(Nhdr) note;
	if (read_block(source, segment->p_offset, size, NOTES_BYTES_MAX, &block) != 0)
		return;
	for (size_t at = 0; at <= size && size - at >= sizeof note;) {
		memcpy(&note, (char *)block + at, sizeof note);
		at += sizeof note;
		if (note.n_namesz > size - at)
			break;
		if (file->runtime == CONFIG_RUNTIME_AUTO)
			file->runtime = runtime_of_note((char *)block + at, note.n_namesz);
		size_t name_bytes = (note.n_namesz + 3U) & ~(size_t)3;
		size_t rest_bytes = (note.n_descsz + align - 1U) & ~(align - 1U);
		if (name_bytes > size - at || rest_bytes > size - at - name_bytes)
			break;
		at += name_bytes + rest_bytes;
	}
	free(block);
}

static int read_segments(
	const struct source *source, const ElfW(Ehdr) * header, struct elf_file *file)
{
	ElfW(Phdr) *segment = NULL;
	void *block = NULL;
	int error = -EINVAL;
	size_t count = header->e_phnum;
	if (header->e_phentsize != sizeof *segment || count == 0 || count > SEGMENTS_MAX)
		return -EINVAL;
	error = read_block(source, header->e_phoff, count * sizeof *segment,
		SEGMENTS_MAX * sizeof *segment, &block);
	if (error != 0)
		return error;
	segment = block;
	for (size_t i = 0; i < count && error == 0; i++) {
		if (segment[i].p_type == PT_NOTE) {
			read_notes(source, &segment[i], file);
		} else if (segment[i].p_type == PT_DYNAMIC) {
			error = read_dynamic(source, segment, count, &segment[i], file);
		} else if (segment[i].p_type == PT_INTERP) {
			uint64_t size = segment[i].p_filesz;
			if (size < 2 || size > sizeof file->interpreter) {
				error = -EINVAL;
				break;
			}
			error = read_exactly(source, file->interpreter, size, segment[i].p_offset);
			file->interpreter[size - 1] = '\0';
		}
	}
	free(segment);
	return error;
}

int elf_file_read(int fd, struct elf_file *file)
{
	ElfW(Ehdr) header;
	struct elf_file read_file = {0};
	struct source source;
	source.fd = fd;
	int error = read_head(&source);
	if (error == 0)
		error = read_exactly(&source, &header, EI_NIDENT, 0);
	if (error == -EINVAL || (error == 0 && memcmp(header.e_ident, ELFMAG, SELFMAG) != 0))
		return -ENOEXEC;
	if (error == 0)
		error = read_exactly(&source, &header, sizeof header, 0);
	if (error != 0)
		return error;
	read_file.class_and_data[0] = header.e_ident[EI_CLASS];
	read_file.class_and_data[1] = header.e_ident[EI_DATA];
	read_file.machine = header.e_machine; /* stands at the same place in both classes */
	read_file.is_readable =
		header.e_ident[EI_CLASS] == NATIVE_CLASS && header.e_ident[EI_DATA] == NATIVE_DATA;
	if (read_file.is_readable)
		error = read_segments(&source, &header, &read_file);
	if (error == 0)
		*file = read_file;
	return error;
}
