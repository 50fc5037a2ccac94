/* Finds functions in the loaded libraries by their ELF hash tables. */
#include "shim/symbol.h"

#include "shim/libc.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* In a version's index: a reference without a version does not mean this one. */
#define VERSION_HIDDEN 0x8000U

/* What of an object's dynamic section a search needs.  NULL: it has none. */
struct object {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *names;
	const char *library;
	const ElfW(Half) * versions;
	const uint32_t *hash;     /* DT_HASH */
	const uint32_t *gnu_hash; /* DT_GNU_HASH */
};

struct search {
	const char *library; /* NULL: any */
	const char *name;
	bool skips; /* what comes before this library, and itself */
	bool after_us;
	void *found;
	uintptr_t base; /* of the object that has it */
};

/* glibc has made addresses of these in place, other loaders and the vDSO have offsets. */
static const void *at(uintptr_t base, uintptr_t pointer)
{
	return (const void *)(pointer < base ? base + pointer : pointer);
}

static void object_read(struct object *object, uintptr_t base, const ElfW(Dyn) * entry)
{
	size_t library = 0;

	*object = (struct object){.base = base};
	for (; entry->d_tag != DT_NULL; entry++) {
		const void *table = at(base, entry->d_un.d_ptr);

		if (entry->d_tag == DT_SYMTAB)
			object->symbols = table;
		else if (entry->d_tag == DT_STRTAB)
			object->names = table;
		else if (entry->d_tag == DT_VERSYM)
			object->versions = table;
		else if (entry->d_tag == DT_HASH)
			object->hash = table;
		else if (entry->d_tag == DT_GNU_HASH)
			object->gnu_hash = table;
		else if (entry->d_tag == DT_SONAME)
			library = entry->d_un.d_val;
	}
	if (object->names != NULL)
		object->library = object->names + library;
}

static void *function_at(const struct object *object, uint32_t index, const char *name)
{
	const ElfW(Sym) *symbol = &object->symbols[index];

	if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC ||
		(object->versions != NULL && (object->versions[index] & VERSION_HIDDEN) != 0) ||
		strcmp(object->names + symbol->st_name, name) != 0)
		return NULL;
	return (void *)(object->base + symbol->st_value);
}

/* The table's layout: buckets, first index, words of a filter, its shift; filter, buckets, chains.
 * A chain's last hash has its lowest bit set. */
static void *gnu_hash_find(const struct object *object, const char *name)
{
	const uint32_t *table = object->gnu_hash;
	const uint32_t *buckets = table + 4 + (size_t)table[2] * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chains = buckets + table[0];
	uint32_t hash = 5381;
	uint32_t index;
	void *found = NULL;

	for (const char *c = name; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char)*c;
	index = table[0] == 0 ? 0 : buckets[hash % table[0]];
	if (index < table[1] || index == 0)
		return NULL;
	for (;; index++) {
		uint32_t other = chains[index - table[1]];

		if ((other | 1) == (hash | 1))
			found = function_at(object, index, name);
		if (found != NULL || (other & 1) != 0)
			return found;
	}
}

/* The table's layout: how many buckets and chains; buckets, chains.  The System V ABI's hash. */
static void *hash_find(const struct object *object, const char *name)
{
	const uint32_t *table = object->hash;
	const uint32_t *chains = table + 2 + table[0];
	uint32_t hash = 0;
	void *found = NULL;

	for (const char *c = name; *c != '\0'; c++) {
		hash = (hash << 4) + (unsigned char)*c;
		hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
	}
	if (table[0] == 0)
		return NULL;
	for (uint32_t index = table[2 + hash % table[0]]; index != 0 && found == NULL;
		index = chains[index])
		found = function_at(object, index, name);
	return found;
}

static bool is_us(const struct dl_phdr_info *info)
{
	uintptr_t here = (uintptr_t)&symbol_next - info->dlpi_addr;

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD && here - part->p_vaddr < part->p_memsz)
			return true;
	}
	return false;
}

static int on_object(struct dl_phdr_info *info, size_t bytes, void *data)
{
	struct search *search = data;
	struct object object = {0};

	(void)bytes;
	if (search->skips && !search->after_us) {
		search->after_us = is_us(info);
		return 0;
	}
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			object_read(&object, info->dlpi_addr,
				(const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
	if (object.symbols == NULL || object.names == NULL ||
		(search->library != NULL && strcmp(object.library, search->library) != 0))
		return 0;
	if (object.gnu_hash != NULL)
		search->found = gnu_hash_find(&object, search->name);
	else if (object.hash != NULL)
		search->found = hash_find(&object, search->name);
	search->base = info->dlpi_addr;
	return search->found != NULL;
}

void *symbol_next(const char *name)
{
	struct search search = {.name = name, .skips = true};

	(void)dl_iterate_phdr(on_object, &search);
	return search.found;
}

void *symbol_first(const char *name, uintptr_t *base)
{
	struct search search = {.name = name};

	(void)dl_iterate_phdr(on_object, &search);
	*base = search.base;
	return search.found;
}

void *symbol_beside(const char *name, uintptr_t base)
{
	uintptr_t found_base;
	void *found = symbol_first(name, &found_base);

	return found != NULL && found_base == base ? found : NULL;
}

void *symbol_of(const char *library, const char *name)
{
	struct search search = {.library = library, .name = name};

	(void)dl_iterate_phdr(on_object, &search);
	return search.found;
}
