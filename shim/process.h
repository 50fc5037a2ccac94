#ifndef SHIM_PROCESS_H
#define SHIM_PROCESS_H

#include <stdint.h>

/*
 * Which process is this code running in?
 *
 * Three cases look alike from inside malloc and must not be confused:
 *
 *   own        the process that process_adopt() was last called in;
 *   forked     a copy of it that no fork handler ran in (_Fork, a bare clone):
 *              its memory is its own, its slot and its thread are not;
 *   borrowed   a vfork child (posix_spawn): another pid on the memory of its
 *              suspended parent.  Nothing may be reset, waited for or started.
 *
 * A word on a page that the kernel wipes on fork tells the last two apart: it
 * is 0 in the copy and still the parent's pid in the borrower.  Where the
 * kernel cannot wipe (before Linux 4.14), a copy counts as borrowed, which is
 * the harmless mistake.
 *
 * In a sandbox (os_is_sandboxed) getpid may kill, and a borrower counts as own.  That is
 * harmless there: no thread is started, and no slot taken.
 */
enum process_kind { PROCESS_OWN, PROCESS_FORKED, PROCESS_BORROWED };

/* Once, by the constructor.  Without memory for the page every process counts as borrowed. */
void process_init(void);
/* Async-signal-safe; one getpid() outside of a sandbox.  PROCESS_FORKED is answered to one caller
 * only. */
enum process_kind process_kind(void);
/* Makes the calling process the own one; by the child handler of fork. */
void process_adopt(void);

/* Field 22 of /proc/self/stat; 0 where it cannot be read. */
uint64_t process_start_ticks(void);
/* Inode number of /proc/self/ns/pid; 0 where it cannot be read. */
uint64_t process_pid_namespace(void);

#endif
