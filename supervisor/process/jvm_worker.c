/* The thread that sends commands to the JVMs of a service. */
#include "supervisor/process/jvm_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/thread.h"
#include "supervisor/process/descendants.h"

/* A service has more processes than this only by mistake, and rarely that many JVMs. */
#define PROCESSES_MAX 256

struct jvm_worker {
	pthread_t thread;
	atomic_bool stop;
	atomic_bool over;
	struct jvm_work work;
	struct jvm_done done;
	size_t count;
	pid_t pid[PROCESSES_MAX];
};

static int note_process(pid_t pid, void *context)
{
	struct jvm_worker *worker = context;
	if (worker->count == PROCESSES_MAX)
		return 1;
	worker->pid[worker->count++] = pid;
	return 0;
}

static void list_processes(struct jvm_worker *worker)
{
	int pid;
	FILE *list = worker->work.procs_fd >= 0 ? fdopen(worker->work.procs_fd, "r") : NULL;
	if (list == NULL) {
		if (worker->work.procs_fd >= 0)
			close(worker->work.procs_fd);
		descendants_each_of_group(worker->work.group, note_process, worker);
		return;
	}
	while (fscanf(list, "%d", &pid) == 1 && note_process(pid, worker) == 0) {
	}
	fclose(list);
}

/* 0 where it cannot be read. */
static uint64_t resident_bytes(pid_t pid)
{
	char path[32];
	char text[128];
	uint64_t pages = 0;
	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_avoided(const struct jvm_avoided *avoided, pid_t pid)
{
	for (size_t i = 0; i < avoided->count; i++)
		if (avoided->pid[i] == pid)
			return true;
	/* Of no more can be remembered that they do not answer. */
	return avoided->count == JVM_WORKER_AVOIDED_MAX;
}

static int send_all(struct jvm_worker *worker, pid_t pid)
{
	uint64_t repeat_ms = clock_now_ms() + JVM_WORKER_REPEAT_MS;
	struct jvm_command command = {
		.pid = pid, .until_ms = worker->work.until_ms, .stop = &worker->stop};
	for (size_t i = 0; i < JVM_WORKER_COMMANDS_MAX; i++) {
		command.command = worker->work.command[i];
		for (unsigned j = 0; command.command != NULL && j < worker->work.times[i]; j++) {
			if (j > 0 && clock_now_ms() >= repeat_ms)
				break;
			int error = jvm_command(&command, worker->done.answer);
			if (error != 0)
				return error;
		}
	}
	return 0;
}

static void look_after(struct jvm_worker *worker, pid_t pid)
{
	struct jvm_done *done = &worker->done;
	if (is_avoided(&done->avoided, pid))
		return;
	uint64_t before_bytes = resident_bytes(pid);
	int error = send_all(worker, pid);
	if (error == -ENOEXEC || error == -ESRCH || error == -ECANCELED)
		return;
	if (error != 0) {
		done->error = error;
		if (error == -EINPROGRESS)
			return;
		done->avoided.pid[done->avoided.count++] = pid;
		return;
	}
	done->jvms++;
	done->before_bytes += before_bytes;
	done->after_bytes += resident_bytes(pid);
}

static void *jvm_worker_run(void *argument)
{
	struct jvm_worker *worker = argument;
	uint64_t began_ms = clock_now_ms();
	list_processes(worker);
	for (size_t i = 0; i < worker->count && !atomic_load(&worker->stop); i++)
		look_after(worker, worker->pid[i]);
	worker->done.took_ms = clock_now_ms() - began_ms;
	atomic_store(&worker->over, true);
	return NULL;
}

int jvm_worker_start(struct jvm_worker **worker, const struct jvm_work *work)
{
	struct jvm_worker *made = calloc(1, sizeof *made);
	int error = -ENOMEM;
	if (made != NULL) {
		made->work = *work;
		made->done.avoided = work->avoided;
		error = thread_start(&made->thread, jvm_worker_run, made);
	}
	if (error == 0) {
		*worker = made;
		return 0;
	}
	if (work->procs_fd >= 0)
		close(work->procs_fd);
	free(made);
	return error;
}

static void join(struct jvm_worker *worker)
{
	pthread_join(worker->thread, NULL);
	free(worker);
}

bool jvm_worker_take(struct jvm_worker *worker, struct jvm_done *done)
{
	if (!atomic_load(&worker->over))
		return false;
	*done = worker->done;
	join(worker);
	return true;
}

void jvm_worker_close(struct jvm_worker *worker)
{
	if (worker == NULL)
		return;
	atomic_store(&worker->stop, true);
	join(worker);
}
