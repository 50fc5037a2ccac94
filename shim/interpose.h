#ifndef SHIM_INTERPOSE_H
#define SHIM_INTERPOSE_H

/*
 * libc functions that the library stands in front of; each goes on to the one
 * that the program would have had without it.
 *
 * dlopen and dlmopen: RTLD_DEEPBIND is taken off.  A library that is bound that
 * way takes malloc from libc, which comes before the preload in its own scope,
 * while the program frees with ours.  Which file is meant depends on who calls
 * (RUNPATH, $ORIGIN, the namespace), and libc reads that from the return
 * address: the real function has to be reached by a jump, hence nothing is
 * done after it.  dlmopen into a namespace of its own is left alone: what is
 * loaded there has a libc and a malloc of its own with and without us, and
 * shares no block with the program.
 *
 * fork: all signals are blocked meanwhile.  In a program of one thread glibc takes no lock in fork,
 * so that a signal's handler may interrupt fork by a fork; the scavenger's thread is a
 * second one, and then glibc holds locks of its own (atfork handlers, streams, its malloc)
 * that the handler's fork would wait for.
 */

/* Finds the next library's functions; by the constructor, since dlsym is nothing for a signal's
 * handler. */
void interpose_init(void);

#endif
