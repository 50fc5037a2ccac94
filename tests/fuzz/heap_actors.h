#ifndef TESTS_FUZZ_HEAP_ACTORS_H
#define TESTS_FUZZ_HEAP_ACTORS_H

/*
 * Threads of which one runs at a time, whoever is asked to: so each has a thread
 * cache of its own, and what they do together repeats exactly.
 */
#define HEAP_ACTORS 4U

/* play(with) runs in that actor's thread, which is made when first asked.  Called by any other. */
void heap_actors_let(unsigned actor, void (*play)(void *with), void *with);

/* Their threads end, if they have begun, and do nothing before that. */
void heap_actors_end(unsigned actor);
void heap_actors_end_all_but(unsigned actor);

#endif
