#include "tests/fuzz/heap_actors.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct actor {
	bool exists;
	pthread_t thread;
	sem_t asked;
	sem_t done;
	void (*play)(void *with); /* NULL: end */
	void *with;
};

static struct actor actors[HEAP_ACTORS];

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0 && errno == EINTR)
		;
}

static void *act(void *argument)
{
	struct actor *actor = argument;

	for (;;) {
		await(&actor->asked);
		if (actor->play == NULL)
			return NULL;
		actor->play(actor->with);
		sem_post(&actor->done);
	}
}

static void begin(struct actor *actor)
{
	if (actor->exists)
		return;
	if (sem_init(&actor->asked, 0, 0) != 0 || sem_init(&actor->done, 0, 0) != 0 ||
		pthread_create(&actor->thread, NULL, act, actor) != 0) {
		perror("an actor");
		abort();
	}
	actor->exists = true;
}

void heap_actors_let(unsigned actor, void (*play)(void *with), void *with)
{
	struct actor *one = &actors[actor];

	begin(one);
	one->play = play;
	one->with = with;
	sem_post(&one->asked);
	await(&one->done);
}

void heap_actors_end(unsigned actor)
{
	struct actor *one = &actors[actor];

	if (!one->exists)
		return;
	one->play = NULL;
	sem_post(&one->asked);
	pthread_join(one->thread, NULL);
	sem_destroy(&one->asked);
	sem_destroy(&one->done);
	one->exists = false;
}

void heap_actors_end_all_but(unsigned actor)
{
	for (unsigned i = 0; i < HEAP_ACTORS; i++)
		if (i != actor)
			heap_actors_end(i);
}
