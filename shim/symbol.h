#ifndef SHIM_SYMBOL_H
#define SHIM_SYMBOL_H

#include <stdint.h>

/*
 * Functions of the libraries that are loaded, by name.
 *
 * This is dlsym without libdl: before glibc 2.34 dlsym is in a library of its own that few programs
 * load, and it takes the lock that dlopen holds while it runs constructors.  The objects come from
 * dl_iterate_phdr, which glibc and musl both have, and which holds its lock for single steps only.
 *
 * Only functions are found, and of several versions the default one.  Neither function allocates
 * or sets errno; both return NULL when there is no such function.
 */

/* The function of that name in the libraries that come after this one in the order of loading, as
 * RTLD_NEXT has it. */
void *symbol_next(const char *name);

/* The function that a reference of that name is bound to in most objects: the program's own where
 * it exports one, else the first library's in the order of loading.  *base: where its object is
 * loaded, to tell whether two functions come from the same one. */
void *symbol_first(const char *name, uintptr_t *base);

/* The same, where its object is loaded at base; NULL where another one comes first. */
void *symbol_beside(const char *name, uintptr_t base);

/* The function of that name in the library of that DT_SONAME. */
void *symbol_of(const char *library, const char *name);

#endif
