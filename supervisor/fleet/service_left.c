/* The main process that an earlier supervisor has left: found, signalled, told of our link. */
#include "supervisor/fleet/service_left.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_output.h"
#include "supervisor/link/link_left.h"
#include "supervisor/process/descendants.h"
#include "supervisor/process/process_stat.h"

static int read_stat(pid_t pid, struct process_stat *stat)
{
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	int error = process_stat_read(proc_fd, pid, stat);
	close(proc_fd);
	return error;
}

uint64_t service_left_start_ticks(pid_t pid)
{
	struct process_stat stat = {0};
	return read_stat(pid, &stat) == 0 ? stat.start_ticks : 0;
}

/* The descriptor first: what is read after it is of the process that it holds, or that is gone. */
int service_left_open(const struct left_service *noted, struct service_left **left)
{
	struct process_stat stat = {0};
	struct service_left *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->pid = noted->pid;
	made->start_ticks = noted->start_ticks;
	memcpy(made->link, noted->link, sizeof made->link);
	memcpy(made->last, noted->last, sizeof made->last);
	made->pid_fd = (int)syscall(SYS_pidfd_open, noted->pid, 0U);
	int error = made->pid_fd >= 0 ? read_stat(noted->pid, &stat) : -errno;
	if (error == -ENOENT || error == -EINVAL)
		error = -ESRCH;
	if (error == 0 && (noted->start_ticks == 0 || stat.start_ticks != noted->start_ticks ||
				  (stat.state == 'Z' && stat.threads <= 1) || stat.state == 'X'))
		error = -ESRCH;
	if (error != 0) {
		service_left_free(made);
		return error;
	}
	*left = made;
	return 0;
}

void service_left_free(struct service_left *left)
{
	if (left == NULL)
		return;
	if (left->watch != NULL)
		loop_watch_free(left->watch);
	if (left->pid_fd >= 0)
		close(left->pid_fd);
	free(left);
}

static uint64_t age_ms(const struct service_left *left)
{
	struct timespec now;
	long ticks = sysconf(_SC_CLK_TCK);
	if (clock_gettime(CLOCK_BOOTTIME, &now) != 0 || ticks <= 0)
		return 0;
	uint64_t boot_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	uint64_t started_ms = left->start_ticks * 1000 / (uint64_t)ticks;
	return boot_ms > started_ms ? boot_ms - started_ms : 0;
}

void service_left_begin(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct service_left *left = service->left;
	uint64_t ran_ms = age_ms(left);
	service->pid = left->pid;
	service->start_ticks = left->start_ticks;
	service->lives = true;
	service->started_ms = ran_ms < now_ms ? now_ms - ran_ms : 0;
	left->wakes = left->link[0] != '\0' ? SERVICE_LEFT_WAKES : 0;
	left->wake_ms = now_ms;
	tick_service_started(&service->memory);
	log_info("%s: adopted, pid %d, which runs for %llu s; how it ends will not be known",
		service->config->name, (int)service->pid, (unsigned long long)(ran_ms / 1000));
	service_output_adopt(service);
	if (host->changed != NULL)
		host->changed(host->context);
}

void service_left_signal(const struct service_left *left, int signal)
{
	syscall(SYS_pidfd_send_signal, left->pid_fd, signal, NULL, 0U);
}

bool service_left_owns_group(const struct service_left *left)
{
	uint64_t start_ticks = service_left_start_ticks(left->pid);
	return start_ticks == 0 || start_ticks == left->start_ticks;
}

struct search {
	const char *link;
	int error; /* of the last that was tried */
};

static int try_to_wake(pid_t pid, void *context)
{
	struct search *search = context;
	search->error = link_left_wake(pid, search->link);
	return search->error == 0;
}

/* By way of any process that has the link: those that it has all sleep on the same word. */
static int wake(const struct service *service, const char *link)
{
	const struct cgroup_leaf *leaf = service->memory.leaf;
	struct search search = {.link = link};
	if (try_to_wake(service->pid, &search) || search.error == -EINVAL)
		return search.error;
	if (leaf != NULL)
		cgroup_directory_each(cgroup_leaf_fd(leaf), try_to_wake, &search);
	else
		descendants_each_of_group(service->pid, try_to_wake, &search);
	return search.error;
}

void service_left_step(struct service *service, uint64_t now_ms)
{
	struct service_left *left = service->left;
	const struct link *link = service->memory.link;
	if (!left->joined && link != NULL && link_has_process(link, service->pid)) {
		log_info("%s: shim: active, on a new link", service->config->name);
		left->joined = true;
	}
	if (left->wakes == 0 || now_ms < left->wake_ms)
		return;
	left->wakes--;
	left->wake_ms = now_ms + SERVICE_LEFT_WAKE_MS;
	/* Some may have joined the one before ours, and others never have. */
	int error = wake(service, left->link);
	if (strcmp(left->link, left->last) != 0)
		error = wake(service, left->last);
	if (left->wakes == 0 && !left->joined && error != 0)
		log_info("%s: its processes cannot be woken to join our link (%s), and do so when "
			 "they are busy",
			service->config->name, strerror(-error));
}

uint64_t service_left_deadline_ms(const struct service_left *left)
{
	return left->wakes > 0 ? left->wake_ms : SERVICE_NEVER;
}

/* FNV-1a; a NULL differs from "". */
static uint64_t add(uint64_t mark, const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		mark = (mark ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (mark ^ (text != NULL ? 0x100U : 0x101U)) * UINT64_C(0x100000001b3);
}

static uint64_t add_list(uint64_t mark, char *const *list)
{
	for (; list != NULL && *list != NULL; list++)
		mark = add(mark, *list);
	return add(mark, NULL);
}

/* Keys that came later count only where they are set: what an older version has noted stays true of
 * a file that does not have them. */
static uint64_t add_set(uint64_t mark, const char *key, const char *value)
{
	return value != NULL ? add(add(mark, key), value) : mark;
}

static uint64_t add_channel(uint64_t mark, const struct config_service *config)
{
	char watchdog[16];
	if (!service_tells(config))
		return mark;
	snprintf(watchdog, sizeof watchdog, "%" PRIu32, config->watchdog_ms);
	return add_set(add_set(mark, "notify", config->notify.text), "watchdog", watchdog);
}

static uint64_t add_privileges(uint64_t mark, const struct config_privileges *privileges)
{
	char set[24];
	snprintf(set, sizeof set, "%" PRIx64, privileges->capabilities);
	mark = add_set(mark, "no_new_privs", privileges->no_new_privs ? "yes" : NULL);
	return add_set(mark, "capabilities", privileges->has_capabilities ? set : NULL);
}

uint64_t service_left_mark(const struct config_service *config)
{
	uint64_t mark = UINT64_C(0xcbf29ce484222325);
	mark = add_list(mark, config->argv);
	mark = add(mark, config->directory);
	mark = add(mark, config->user);
	mark = add_list(mark, config->environment);
	mark = (mark ^ (uint64_t)config->has_oom_score_adj) * UINT64_C(0x100000001b3);
	mark = (mark ^ (uint64_t)(uint32_t)config->oom_score_adj) * UINT64_C(0x100000001b3);
	mark = (mark ^ (uint64_t)config->is_program) * UINT64_C(0x100000001b3);
	mark = (mark ^ (uint64_t)config->has_umask) * UINT64_C(0x100000001b3);
	mark = (mark ^ (uint64_t)(uint32_t)config->umask) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < CONFIG_STREAMS; i++) {
		/* A pipe is a pipe. */
		bool is_file = config->log[i].kind == CONFIG_LOG_AUTO;
		uint64_t kind = is_file ? CONFIG_LOG_FILE : config->log[i].kind;
		mark = (mark ^ kind) * UINT64_C(0x100000001b3);
	}
	mark = (mark ^ (uint64_t)config->redirect_stderr) * UINT64_C(0x100000001b3);
	mark = add_set(mark, "environment_file", config->environment_file);
	mark = add_set(mark, "type", config->is_oneshot ? "oneshot" : NULL);
	mark = add_channel(mark, config);
	mark = add_privileges(mark, &config->privileges);
	return (mark ^ (uint64_t)config->shim) * UINT64_C(0x100000001b3);
}
