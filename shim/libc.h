#ifndef SHIM_LIBC_H
#define SHIM_LIBC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The program's libc, whichever it is: glibc from 2.17 on, or musl.
 *
 * A preload must never be the reason that a program does not start.  A loader refuses a library
 * that needs another library, a version of a symbol, or a symbol that it cannot find.  So
 * libspillway.so needs no library; its references to libc have no version; and all of them are
 * weak, so that one that nothing answers is NULL.  glibc's loader binds a reference without a
 * version to the oldest one of that name, and musl's knows no versions.
 *
 * shim/imports lists the references.  The Makefile makes these weak, and the link refuses any
 * other (-z defs; there is no libc in the link).  What is added there must be in glibc 2.17 and in
 * musl with the same types and constants, or be declared weak here and compared with NULL.
 *
 * pthread_sigmask is not among them, since glibc before 2.32 has it in libpthread: sigprocmask
 * is the same in both libcs, the mask of the calling thread, and leaves libc's own signals out.
 */

/* Whether there is a libc that this library knows.  Without one, nothing else here or elsewhere may
 * be called; nobody calls malloc then. */
bool libc_is_there(void);

/* By the constructor, once there is a libc. */
void libc_init(void);

/* The environment.  passed: the constructor's third argument, which only glibc gives; it is read
 * only when libc has no environment yet. */
char **libc_environment(char **passed);

/* Whether the process certainly has one thread.  False where libc does not tell: glibc before
 * 2.32 and musl. */
bool libc_has_one_thread(void);

/* As pthread_atfork; 0 or an error number. */
int libc_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/*
 * The functions that glibc before 2.34 has in libpthread.so.0, which a program of one thread may
 * not have loaded, and may load later as a plugin's.
 */
struct libc_threads {
	int (*create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		void *argument);
	int (*attributes_stack)(pthread_attr_t *attributes, size_t bytes);
	int (*key_create)(pthread_key_t *key, void (*destroy)(void *));
	int (*key_set)(pthread_key_t key, const void *value);
};

/* NULL as long as they are not loaded: each call looks again, at the cost of a walk over the loaded
 * libraries.  Does not allocate and keeps errno. */
const struct libc_threads *libc_threads(void);

#endif
