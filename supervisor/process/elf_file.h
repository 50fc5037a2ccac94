#ifndef SUPERVISOR_PROCESS_ELF_FILE_H
#define SUPERVISOR_PROCESS_ELF_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/*
 * What the loader would make of a program, read from its file.
 *
 * The file is anybody's: every offset and count in it is checked against a
 * bound before it is used, and it is read, not mapped, so that one that
 * shrinks meanwhile is merely malformed.
 */

#define ELF_FILE_TEXT_BYTES 256

struct elf_file {
	uint8_t class_and_data[2]; /* as in e_ident */
	uint16_t machine;
	/* Only where it is of our own class and byte order: */
	bool is_readable;
	char interpreter[ELF_FILE_TEXT_BYTES]; /* "" = static */
	char sanitizer[ELF_FILE_TEXT_BYTES];   /* the library or symbol that gives it away; "" */
	/* Likewise, of an allocator that the agent knows (shim/agent/allocator.h), libc's aside. */
	char allocator[ELF_FILE_TEXT_BYTES];
	enum config_runtime runtime; /* as its strings or notes show; CONFIG_RUNTIME_AUTO = none */
};

/* 0, -ENOEXEC where it is no ELF file, -EINVAL where it is a broken one, or -errno. */
int elf_file_read(int fd, struct elf_file *file);

/* Whether a list of preloads names a library of such an allocator. */
bool elf_file_names_allocator(const char *preloads);

#endif
