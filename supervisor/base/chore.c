/* Does work that may hang in a thread. */
#include "supervisor/base/chore.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/thread.h"

/* All but kind and data are under the lock.  Freed by the last of the caller and the thread, since
 * a thread that hangs cannot be joined. */
struct chore {
	struct chore_kind kind;
	void *data;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_thread;
	bool is_closed;
	bool is_wanted; /* the thread is to work, or does */
};

int chore_open(const struct chore_kind *kind, void *data, struct chore **chore)
{
	pthread_condattr_t monotonic;
	struct chore *made = calloc(1, sizeof *made);
	if (made == NULL) {
		kind->drop(data);
		return -ENOMEM;
	}
	made->kind = *kind;
	made->data = data;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*chore = made;
	return 0;
}

static void destroy(struct chore *chore)
{
	chore->kind.drop(chore->data);
	pthread_cond_destroy(&chore->changed);
	pthread_mutex_destroy(&chore->lock);
	free(chore);
}

static void *run(void *argument)
{
	struct chore *chore = argument;
	pthread_mutex_lock(&chore->lock);
	while (!chore->is_closed) {
		if (!chore->is_wanted) {
			pthread_cond_wait(&chore->changed, &chore->lock);
			continue;
		}
		pthread_mutex_unlock(&chore->lock);
		chore->kind.work(chore->data);
		pthread_mutex_lock(&chore->lock);
		chore->is_wanted = false;
		pthread_cond_signal(&chore->changed);
	}
	pthread_mutex_unlock(&chore->lock);
	destroy(chore);
	return NULL;
}

void chore_close(struct chore *chore)
{
	if (chore == NULL)
		return;
	pthread_mutex_lock(&chore->lock);
	bool is_last = !chore->has_thread;
	chore->is_closed = true;
	pthread_cond_signal(&chore->changed);
	pthread_mutex_unlock(&chore->lock);
	if (is_last)
		destroy(chore);
}

void *chore_data(struct chore *chore)
{
	return chore->data;
}

static int start_thread(struct chore *chore)
{
	pthread_t thread;
	int error = chore->has_thread ? 0 : thread_start(&thread, run, chore);
	if (error != 0 || chore->has_thread)
		return error;
	chore->has_thread = true;
	pthread_detach(thread);
	return 0;
}

int chore_start(struct chore *chore, uint32_t wait_ms)
{
	uint64_t until_ms = clock_now_ms() + wait_ms;
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
	pthread_mutex_lock(&chore->lock);
	int error = chore->is_wanted ? -EINPROGRESS : start_thread(chore);
	if (error == 0) {
		chore->is_wanted = true;
		pthread_cond_signal(&chore->changed);
		int waited = 0;
		while (chore->is_wanted && waited != ETIMEDOUT)
			waited = pthread_cond_timedwait(&chore->changed, &chore->lock, &until);
		error = chore->is_wanted ? -EINPROGRESS : 0;
	}
	pthread_mutex_unlock(&chore->lock);
	return error;
}

bool chore_is_idle(struct chore *chore)
{
	pthread_mutex_lock(&chore->lock);
	bool is_idle = !chore->is_wanted;
	pthread_mutex_unlock(&chore->lock);
	return is_idle;
}
