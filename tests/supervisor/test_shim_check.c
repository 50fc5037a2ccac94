#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "supervisor/process/elf_file.h"
#include "supervisor/process/shim_check.h"
#include "tests/support/skip.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

/* Stands in for the library: it is only read for its architecture. */
static const char shim[] = "/proc/self/exe";
static char folder[] = "/tmp/spillway-test-check.XXXXXX";
static struct shim_verdict verdict;

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	char command[sizeof folder + 16];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

static const char *in_folder(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const void *bytes, size_t size, mode_t mode)
{
	const char *path = in_folder(name);
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void write_script(const char *name, const char *text)
{
	write_file(name, text, strlen(text), 0755);
}

/* A whole dynamic program as far as the check looks: headers, loader, dynamic strings. */
struct program {
	ElfW(Ehdr) header;
	ElfW(Phdr) segment[3];
	ElfW(Dyn) dynamic[3];
	char interpreter[64];
	char strings[64];
};

static struct program program_of(const char *interpreter, const char *string)
{
	struct program made = {
		.header = {.e_type = ET_DYN,
			.e_phoff = offsetof(struct program, segment),
			.e_phentsize = sizeof(ElfW(Phdr)),
			.e_phnum = 3},
		.segment = {{.p_type = PT_LOAD, .p_filesz = sizeof made, .p_memsz = sizeof made},
			{.p_type = PT_INTERP, .p_offset = offsetof(struct program, interpreter)},
			{.p_type = PT_DYNAMIC,
				.p_offset = offsetof(struct program, dynamic),
				.p_filesz = sizeof made.dynamic}},
		.dynamic = {{.d_tag = DT_STRTAB}, {.d_tag = DT_STRSZ}, {.d_tag = DT_NULL}},
	};
	int fd = open(shim, O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) own;
	assert_int_equal(read(fd, &own, sizeof own), sizeof own);
	close(fd);
	memcpy(made.header.e_ident, own.e_ident, sizeof own.e_ident);
	made.header.e_machine = own.e_machine;
	made.segment[1].p_filesz = strlen(interpreter) + 1;
	made.dynamic[0].d_un.d_ptr = offsetof(struct program, strings);
	made.dynamic[1].d_un.d_val = sizeof made.strings;
	snprintf(made.interpreter, sizeof made.interpreter, "%s", interpreter);
	snprintf(made.strings + 1, sizeof made.strings - 1, "%s", string);
	return made;
}

static void check_with(const struct shim_check *check)
{
	memset(&verdict, 0x5a, sizeof verdict);
	shim_check(check, &verdict);
	assert_int_equal(verdict.load, verdict.reason[0] == '\0');
}

static void check(const char *program, uid_t uid)
{
	struct shim_check asked = {.program = program,
		.path = getenv("PATH"),
		.shim = shim,
		.uid = uid,
		.gid = uid == 0 ? 0 : getegid()};
	check_with(&asked);
}

static void assert_refused(const char *why)
{
	if (verdict.load || strstr(verdict.reason, why) == NULL)
		fail_msg("load %d, reason '%s', expected '%s'", verdict.load, verdict.reason, why);
}

static void check_bytes(const void *bytes, size_t size)
{
	write_file("made", bytes, size, 0755);
	check(in_folder("made"), 0);
}

static void test_ordinary_programs_load_it(void **state)
{
	(void)state;
	static const char *const names[] = {"/bin/true", "true", "sh", "python3", "perl", "gcc"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		check(names[i], 0);
		if (!verdict.load)
			fail_msg("%s: %s", names[i], verdict.reason);
	}
}

static void test_scripts_are_their_interpreter(void **state)
{
	(void)state;
	static const char *const lines[] = {"#!/bin/sh\n", "#! /bin/sh -e\n", "#!/bin/sh",
		"#!/usr/bin/env python3\n", "#!/usr/bin/env -S A=b python3 -u\n",
		"#!/usr/bin/env -i python3\n"};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		write_script("script", lines[i]);
		check(in_folder("script"), 0);
		if (!verdict.load)
			fail_msg("%s: %s", lines[i], verdict.reason);
	}
}

static void test_scripts_of_what_is_not_there_do_not(void **state)
{
	(void)state;
	write_script("script", "#!/no/such/interpreter\n");
	check(in_folder("script"), 0);
	assert_refused("/no/such/interpreter was not found");
	write_script("script", "#!/usr/bin/env no-such-thing\n");
	check(in_folder("script"), 0);
	assert_refused("no-such-thing was not found");
	write_script("script", "#!\n");
	check(in_folder("script"), 0);
	assert_refused("neither");
}

static void test_a_script_that_is_its_own_interpreter_ends(void **state)
{
	(void)state;
	char line[300];
	snprintf(line, sizeof line, "#!%s\n", in_folder("loop"));
	write_script("loop", line);
	check(in_folder("loop"), 0);
	assert_refused("too many interpreters");
}

static void test_a_made_program_loads_it(void **state)
{
	(void)state;
	struct program made = program_of(LOADER, "libc.so.6");
	check_bytes(&made, sizeof made);
	if (!verdict.load)
		fail_msg("%s", verdict.reason);
}

static void test_a_program_of_musl_loads_it(void **state)
{
	(void)state;
	struct program made = program_of("/lib/ld-musl-x86_64.so.1", "libc.so");
	check_bytes(&made, sizeof made);
	if (!verdict.load)
		fail_msg("%s", verdict.reason);
}

static void test_another_libc_or_a_sanitizer_does_not(void **state)
{
	(void)state;
	static const struct {
		const char *interpreter;
		const char *string;
		const char *why;
	} rows[] = {
		{"/system/bin/linker64", "libc.so", "/system/bin/linker64"},
		{LOADER, "libasan.so.8", "libasan.so.8"},
		{LOADER, "libtsan.so.2", "libtsan.so.2"},
		{LOADER, "liblsan.so.0", "liblsan.so.0"},
		{LOADER, "libubsan.so.1", "libubsan.so.1"},
		{LOADER, "libclang_rt.asan-x86_64.so", "libclang_rt.asan"},
		{LOADER, "__asan_init", "__asan_init"},
		{LOADER, "__tsan_init", "__tsan_init"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct program made = program_of(rows[i].interpreter, rows[i].string);
		check_bytes(&made, sizeof made);
		assert_refused(rows[i].why);
	}
	struct program made = program_of(LOADER, "not_libasan.so.8");
	check_bytes(&made, sizeof made);
	assert_true(verdict.load);
}

static void test_another_architecture_does_not(void **state)
{
	(void)state;
	struct program made = program_of(LOADER, "libc.so.6");
	made.header.e_machine ^= 0x55;
	check_bytes(&made, sizeof made);
	assert_refused("architecture");
	made = program_of(LOADER, "libc.so.6");
	made.header.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	check_bytes(&made, sizeof made);
	assert_refused("architecture");
	made = program_of(LOADER, "libc.so.6");
	made.header.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	check_bytes(&made, sizeof made);
	assert_refused("architecture");
}

static void test_static_programs_do_not(void **state)
{
	(void)state;
	struct program made = program_of(LOADER, "libc.so.6");
	made.segment[1].p_type = PT_NULL;
	check_bytes(&made, sizeof made);
	assert_refused("statically linked");
	if (access("/bin/busybox", X_OK) == 0) {
		check("/bin/busybox", 0);
		assert_refused("statically linked");
	}
}

static void test_broken_programs_are_refused(void **state)
{
	(void)state;
	struct program whole = program_of(LOADER, "libc.so.6");
	/* Cut off anywhere. */
	for (size_t size = 1; size < sizeof whole; size += 7) {
		check_bytes(&whole, size);
		assert_false(verdict.load);
	}
	struct program made = whole;
	made.header.e_phnum = 0xffff;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.header.e_phentsize = 1;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.header.e_phoff = (ElfW(Off)) - 8;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.segment[1].p_filesz = 1 << 20;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.segment[2].p_filesz = (ElfW(Xword)) - 1;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.dynamic[0].d_un.d_ptr = (ElfW(Addr)) - 1;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
	made = whole;
	made.dynamic[1].d_un.d_val = (ElfW(Xword)) - 1;
	check_bytes(&made, sizeof made);
	assert_refused("cannot be read");
}

/* Every byte of the headers, one at a time: any verdict, but one. */
static void test_no_single_byte_breaks_the_check(void **state)
{
	(void)state;
	struct program whole = program_of(LOADER, "libc.so.6");
	for (size_t i = 0; i < offsetof(struct program, interpreter); i += 3) {
		struct program made = whole;
		((unsigned char *)&made)[i] ^= 0xff;
		check_bytes(&made, sizeof made);
	}
}

/* The program, with a note of that owner and size in the place of its loader. */
struct noted {
	struct program program;
	ElfW(Nhdr) note[2];
	char text[8];
};

static void check_note(ElfW(Word) owner_bytes, ElfW(Word) first_bytes, enum config_runtime runtime)
{
	struct noted made = {.program = program_of("", "libc.so.6"),
		.note = {{.n_namesz = 0, .n_descsz = first_bytes}, {.n_namesz = owner_bytes}},
		.text = "Go"};
	made.program.segment[1] = (ElfW(Phdr)){.p_type = PT_NOTE,
		.p_offset = offsetof(struct noted, note),
		.p_filesz = sizeof made - offsetof(struct noted, note)};
	check_bytes(&made, sizeof made);
	assert_refused("statically linked");
	assert_int_equal(verdict.runtime, runtime);
}

static void test_a_runtime_is_recognised(void **state)
{
	struct program made = program_of(LOADER, "libjli.so");
	struct shim_check asked = {0};
	(void)state;
	check_bytes(&made, sizeof made);
	assert_int_equal(verdict.runtime, CONFIG_RUNTIME_JAVA);
	assert_true(verdict.has_libc_heap);
	made = program_of(LOADER, "libc.so.6");
	write_file("node", &made, sizeof made, 0755);
	check_note(3, 0, CONFIG_RUNTIME_GO);
	assert_false(verdict.has_libc_heap);
	/* Owners and sizes that are not those of the file. */
	check_note(300, 0, CONFIG_RUNTIME_AUTO);
	check_note(3, UINT32_MAX, CONFIG_RUNTIME_AUTO);
	check_note(UINT32_MAX, UINT32_MAX, CONFIG_RUNTIME_AUTO);
	/* Without a library only that is asked. */
	asked.program = in_folder("node");
	check_with(&asked);
	assert_true(verdict.load);
	assert_int_equal(verdict.runtime, CONFIG_RUNTIME_NODE);
}

static void test_text_and_empty_files_do_not(void **state)
{
	(void)state;
	check_bytes("echo hello\n", 11);
	assert_refused("neither an ELF program nor a script");
	check_bytes("", 0);
	assert_refused("neither an ELF program nor a script");
	check_bytes("\177EL", 3);
	assert_refused("neither an ELF program nor a script");
}

static void test_what_cannot_be_run_was_not_found(void **state)
{
	(void)state;
	check("no-such-program-here", 0);
	assert_refused("no-such-program-here was not found");
	check("/etc", 0);
	assert_refused("not found");
	write_file("plain", "x", 1, 0644);
	check(in_folder("plain"), 0);
	assert_refused("not found");
}

static void test_names_are_looked_up_in_the_given_path(void **state)
{
	(void)state;
	char path[300];
	write_script("only-here", "#!/bin/sh\n");
	snprintf(path, sizeof path, "/nowhere:%s:/bin", folder);
	struct shim_check asked = {.program = "only-here", .path = path, .shim = shim};
	check_with(&asked);
	assert_true(verdict.load);
	asked.path = "/bin:/usr/bin";
	check_with(&asked);
	assert_refused("not found");
	/* An empty element is the working directory, which is the service's. */
	asked.path = ":/bin";
	asked.directory = folder;
	check_with(&asked);
	assert_true(verdict.load);
	asked.program = "./only-here";
	asked.start = "/tmp";
	asked.directory = folder + strlen("/tmp/");
	check_with(&asked);
	assert_true(verdict.load);
	asked.directory = "/no/such/folder";
	check_with(&asked);
	assert_refused("directory");
	asked.directory = NULL;
	asked.program = "true";
	asked.path = NULL;
	check_with(&asked);
	assert_true(verdict.load);
}

static void test_setuid_counts_unless_it_is_one_self(void **state)
{
	(void)state;
	struct statvfs mount;
	struct program made = program_of(LOADER, "libc.so.6");
	skip_unless_root();
	if (statvfs(folder, &mount) != 0 || (mount.f_flag & ST_NOSUID) != 0)
		skip_because("set-user-ID means nothing in this file system");
	write_file("made", &made, sizeof made, 04755);
	check(in_folder("made"), 0);
	assert_true(verdict.load);
	check(in_folder("made"), 65534);
	assert_refused("setuid");
	struct shim_check asked = {.program = in_folder("made"), .shim = shim, .gid = 65534};
	write_file("made", &made, sizeof made, 02755);
	check_with(&asked);
	assert_refused("setgid");
	/* Without group execute permission the bit means locking. */
	write_file("made", &made, sizeof made, 02745);
	check_with(&asked);
	assert_true(verdict.load);
}

static void test_file_capabilities_count_for_others_than_root(void **state)
{
	(void)state;
	char command[400];
	struct program made = program_of(LOADER, "libc.so.6");
	write_file("made", &made, sizeof made, 0755);
	snprintf(
		command, sizeof command, "setcap cap_net_raw+ep %s 2>/dev/null", in_folder("made"));
	skip_unless_root();
	if (system(command) != 0)
		skip_because("setcap cannot set capabilities here");
	check(in_folder("made"), 65534);
	assert_refused("capabilities");
	check(in_folder("made"), 0);
	assert_true(verdict.load);
}

static void test_the_library_itself_must_be_there(void **state)
{
	(void)state;
	struct shim_check asked = {.program = "/bin/true", .shim = "/no/such/libspillway.so"};
	check_with(&asked);
	assert_refused("libspillway.so");
	asked.shim = "/etc/passwd";
	check_with(&asked);
	assert_refused("libspillway.so");
	write_file("a b", "", 0, 0644);
	struct program made = program_of(LOADER, "libc.so.6");
	write_file("a b", &made, sizeof made, 0644);
	asked.shim = in_folder("a b");
	check_with(&asked);
	assert_refused("blank or colon");
}

static void test_the_services_user_must_be_able_to_read_it(void **state)
{
	(void)state;
	struct program made = program_of(LOADER, "libc.so.6");
	char library[256];
	mkdir(in_folder("inner"), 0755);
	write_file("inner/library", &made, sizeof made, 0644);
	snprintf(library, sizeof library, "%s/inner/library", folder);
	struct shim_check asked = {.program = "/bin/true", .shim = library, .uid = 65534};
	assert_int_equal(chmod(folder, 0700), 0);
	check_with(&asked);
	assert_refused("cannot read");
	assert_int_equal(chmod(folder, 0755), 0);
	asked.gid = 65534;
	check_with(&asked);
	assert_true(verdict.load);
	assert_int_equal(chmod(library, 0640), 0);
	check_with(&asked);
	assert_refused("cannot read");
	asked.uid = 0;
	check_with(&asked);
	assert_true(verdict.load);
}

static void test_the_library_is_found_beside_the_program(void **state)
{
	(void)state;
	char program[256];
	char wanted[256];
	char found[PATH_MAX];
	snprintf(program, sizeof program, "%s/bin/spillway", folder);
	assert_int_not_equal(shim_find(program, SHIM_LIBRARY, found), 0);
	mkdir(in_folder("bin"), 0755);
	mkdir(in_folder("lib"), 0755);
	write_file("lib/libspillway.so", "", 0, 0644);
	snprintf(wanted, sizeof wanted, "%s/lib/libspillway.so", folder);
	assert_int_equal(shim_find(program, SHIM_LIBRARY, found), 0);
	assert_string_equal(found, wanted);
	assert_int_equal(shim_find(program, SHIM_AGENT, found), -ENOENT);
	write_file("lib/libspillway-agent.so", "", 0, 0644);
	snprintf(wanted, sizeof wanted, "%s/lib/libspillway-agent.so", folder);
	assert_int_equal(shim_find(program, SHIM_AGENT, found), 0);
	assert_string_equal(found, wanted);
}

static void test_an_allocator_is_seen_by_its_names(void **state)
{
	(void)state;
	static const struct {
		const char *string;
		const char *allocator;
	} rows[] = {
		{"libc.so.6", ""},
		{"libjemalloc.so.2", "libjemalloc.so.2"},
		{"libtcmalloc_minimal.so.4", "libtcmalloc_minimal.so.4"},
		{"libmimalloc.so.2", "libmimalloc.so.2"},
		{"_rjem_mallctl", "_rjem_mallctl"},
		{"je_mallctl", "je_mallctl"},
		{"mallctl", "mallctl"},
		{"MallocExtension_ReleaseToSystem", "MallocExtension_ReleaseToSystem"},
		{"mi_collect", "mi_collect"},
		/* Within another name it is none. */
		{"my_mallctl", ""},
		{"notlibjemalloc.so.2", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct program made = program_of(LOADER, rows[i].string);
		check_bytes(&made, sizeof made);
		assert_true(verdict.load);
		assert_string_equal(verdict.allocator, rows[i].allocator);
	}
	/* The name may follow on one that contains it. */
	struct program made = program_of(LOADER, "my_mallctl");
	memcpy(made.strings + 1 + sizeof "my_mallctl", "mallctl", sizeof "mallctl");
	check_bytes(&made, sizeof made);
	assert_string_equal(verdict.allocator, "mallctl");
	/* Of a script it is the interpreter's. */
	char script[PATH_MAX];
	snprintf(script, sizeof script, "#!%s\n", in_folder("made"));
	write_script("script", script);
	check(in_folder("script"), 0);
	assert_string_equal(verdict.allocator, "mallctl");
}

static void test_a_list_of_preloads_names_one(void **state)
{
	(void)state;
	assert_true(elf_file_names_allocator("/usr/lib/libjemalloc.so.2"));
	assert_true(elf_file_names_allocator("/a.so:libtcmalloc_minimal.so.4 /b.so"));
	assert_true(elf_file_names_allocator("libmimalloc.so"));
	assert_false(elf_file_names_allocator("/a.so:/opt/lib/libspillway.so"));
	assert_false(elf_file_names_allocator(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary_programs_load_it),
		cmocka_unit_test(test_scripts_are_their_interpreter),
		cmocka_unit_test(test_scripts_of_what_is_not_there_do_not),
		cmocka_unit_test(test_a_script_that_is_its_own_interpreter_ends),
		cmocka_unit_test(test_a_made_program_loads_it),
		cmocka_unit_test(test_a_program_of_musl_loads_it),
		cmocka_unit_test(test_another_libc_or_a_sanitizer_does_not),
		cmocka_unit_test(test_another_architecture_does_not),
		cmocka_unit_test(test_static_programs_do_not),
		cmocka_unit_test(test_broken_programs_are_refused),
		cmocka_unit_test(test_no_single_byte_breaks_the_check),
		cmocka_unit_test(test_a_runtime_is_recognised),
		cmocka_unit_test(test_text_and_empty_files_do_not),
		cmocka_unit_test(test_what_cannot_be_run_was_not_found),
		cmocka_unit_test(test_names_are_looked_up_in_the_given_path),
		cmocka_unit_test(test_setuid_counts_unless_it_is_one_self),
		cmocka_unit_test(test_file_capabilities_count_for_others_than_root),
		cmocka_unit_test(test_the_library_itself_must_be_there),
		cmocka_unit_test(test_the_services_user_must_be_able_to_read_it),
		cmocka_unit_test(test_the_library_is_found_beside_the_program),
		cmocka_unit_test(test_an_allocator_is_seen_by_its_names),
		cmocka_unit_test(test_a_list_of_preloads_names_one),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
