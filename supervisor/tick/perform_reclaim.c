/* Has the kernel take back memory, and tells what came of it. */
#include "supervisor/tick/perform_reclaim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/policy/fraction.h"
#include "supervisor/tick/tick_service.h"

#define REASON_BYTES 160
#define LITTLE_BYTES (UINT64_C(256) << 10)

static const char *subject(const struct perform_reclaim *reclaim)
{
	return reclaim->name[0] != '\0' ? reclaim->name : "all services";
}

static void report(const struct perform_reclaim *reclaim, const struct reclaim_result *result)
{
	char why[REASON_BYTES];
	uint64_t got_bytes = fraction_less(result->before_bytes, result->after_bytes);
	bool late = result->error == -ETIMEDOUT;
	void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2))) =
		got_bytes >= LITTLE_BYTES ? log_notice : log_debug;
	perform_reason_text(why, sizeof why, &reclaim->reason);
	say("%s: reclaim: %s; asked the kernel for %s; memory.current %s -> %s in %llums%s",
		subject(reclaim), why, size_text(reclaim->asked_bytes).text,
		size_text(result->before_bytes).text, size_text(result->after_bytes).text,
		(unsigned long long)result->took_ms, late ? " (no more time)" : "");
}

static void give_up(struct perform_reclaim *reclaim, int error)
{
	reclaim->missing = true;
	if (error == -ENOENT)
		log_notice("memory.reclaim: this kernel has none (5.19 has): caches are left until "
			   "the limit is hit");
	else
		log_warn("memory.reclaim: %s: caches are left until the limit is hit",
			strerror(-error));
}

void perform_reclaim_close(struct perform_reclaim *reclaim)
{
	reclaim_worker_close(reclaim->worker);
	reclaim->worker = NULL;
	reclaim->open = false;
}

void perform_reclaim_settle(struct perform_reclaim *reclaim, struct reclaim_sample *sample)
{
	struct reclaim_result result;
	sample->possible = reclaim->base != NULL && !reclaim->missing;
	if (reclaim->open && reclaim_worker_take(reclaim->worker, &result)) {
		reclaim->open = false;
		sample->got_bytes = fraction_less(result.before_bytes, result.after_bytes);
		report(reclaim, &result);
	}
	sample->under_way = reclaim->open;
}

/* The directory of the leaf, or of all services, opened; or -errno. */
static int open_directory(const struct perform_reclaim *reclaim, const struct tick_service *service,
	bool all, int *fd)
{
	const char *path =
		all || service->leaf == NULL ? reclaim->base : cgroup_leaf_directory(service->leaf);
	return cgroup_directory_open(path, fd);
}

static void would_reclaim(const struct tick_service *service, const struct action *action)
{
	char why[REASON_BYTES];
	perform_reason_text(why, sizeof why, &action->reason);
	log_notice("%s: dry run: would ask the kernel for %s: %s",
		action->all ? "all services" : service->config.name,
		size_text(action->target_bytes).text, why);
}

void perform_reclaim_start(struct perform_reclaim *reclaim, const struct tick_service *service,
	const struct action *action)
{
	int fd = -1;
	if (reclaim->base == NULL || reclaim->missing || reclaim->open)
		return;
	if (action->all ? reclaim->any_dry_run : service->config.dry_run) {
		would_reclaim(service, action);
		return;
	}
	int error = reclaim->worker == NULL ? reclaim_worker_open(&reclaim->worker) : 0;
	if (error == 0)
		error = open_directory(reclaim, service, action->all, &fd);
	if (error == 0) {
		error = reclaim_worker_start(
			reclaim->worker, fd, action->target_bytes, action->until_ms);
		close(fd);
		if (error == -ENOENT || error == -EACCES || error == -EPERM || error == -EROFS)
			give_up(reclaim, error);
	}
	if (error != 0)
		return;
	reclaim->open = true;
	reclaim->reason = action->reason;
	reclaim->asked_bytes = action->target_bytes;
	memcpy(reclaim->name, action->all ? "" : service->config.name,
		action->all ? 1 : sizeof reclaim->name);
}
