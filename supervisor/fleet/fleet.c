#include "supervisor/fleet/fleet.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/fleet/fleet_private.h"
#include "supervisor/base/log.h"
#include "supervisor/base/loop.h"
#include "supervisor/process/shim_check.h"
#include "supervisor/base/size.h"

/* What is left at the very end has so long between TERM and KILL, and then to go. */
#define LAST_SWEEP_MS 2000U
#define LAST_KILL_MS 1000U
#define KILL_AGAIN_MS 50U
#define CLOSE_WAIT_MS 1000U

static bool all_down(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (!service_is_down(fleet->service[i]))
			return false;
	return true;
}

/* The terminal has stopped the command, which the shell that started us does not see: it
 * sees us.  So we stop as well, and go on together when it wants us to.  A session
 * leader has no such shell. */
static void suspend(struct fleet *fleet)
{
	pid_t group = fleet->service[0]->pid;
	if (getsid(0) != getpid()) {
		tcsetpgrp(STDIN_FILENO, getpgrp());
		kill(getpid(), SIGSTOP);
		if (tcgetpgrp(STDIN_FILENO) == getpgrp())
			tcsetpgrp(STDIN_FILENO, group);
	}
	kill(-group, SIGCONT);
}

static void note_stop(struct fleet *fleet)
{
	siginfo_t info = {0};
	if (!fleet->host.take_terminal || !fleet->service[0]->lives)
		return;
	if (waitid(P_PID, (id_t)fleet->service[0]->pid, &info, WSTOPPED | WNOHANG) != 0)
		return;
	if (info.si_pid != 0 && (info.si_status == SIGTSTP || info.si_status == SIGTTIN ||
					info.si_status == SIGTTOU))
		suspend(fleet);
}

/* Takes all that have died.  A main process is looked at while it is a zombie: as
 * long as it is one its number, which is that of its group, cannot be another's. */
static void reap(struct fleet *fleet, uint64_t now_ms)
{
	for (;;) {
		siginfo_t info = {0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
			fleet->childless = errno == ECHILD;
			return;
		}
		if (info.si_pid == 0) {
			fleet->childless = false;
			return;
		}
		for (size_t i = 0; i < fleet->count; i++) {
			struct service *service = fleet->service[i];
			if (service->lives && service->pid == info.si_pid)
				service_died(service, &fleet->host, info.si_code, info.si_status,
					now_ms);
		}
		waitpid(info.si_pid, NULL, 0);
	}
}

/* One after another from the last to the first: a service may count on those before it
 * until it is down itself.  What waits for a restart has nothing to wait for. */
static void go_on_stopping(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->restart.state == RESTART_BACKOFF)
			service_stop(fleet->service[i], &fleet->host, now_ms);
	for (size_t i = fleet->count; i-- > 0;) {
		struct service *service = fleet->service[i];
		if (service_is_down(service))
			continue;
		if (service->restart.state != RESTART_STOPPING) {
			log_info("%s: stopping", service->config->name);
			service_stop(service, &fleet->host, now_ms);
		}
		return;
	}
}

static void kill_all(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++) {
		service_stop(fleet->service[i], &fleet->host, now_ms);
		service_kill(fleet->service[i]);
	}
}

static void stop(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->stopping) {
		log_warn("told to stop again: killing what is left");
		fleet->killing = true;
		kill_all(fleet, now_ms);
	}
	fleet->stopping = true;
	fleet_reload_drop(fleet);
}

static void begin_sweep(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->host.take_terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	if (!fleet->killing)
		descendants_signal(getpid(), SIGTERM);
	fleet->ending = FLEET_SWEEPS;
	fleet->ending_ms = now_ms + LAST_SWEEP_MS;
}

/* The last sweep.  In wrap mode it starts with the death of the main process, and what
 * the service would sweep by itself is part of it. */
static void go_on_ending(struct fleet *fleet, uint64_t now_ms)
{
	bool main_is_gone = fleet->wrap && fleet->service[0]->pid != 0 && !fleet->service[0]->lives;
	if (!main_is_gone && (!all_down(fleet) || fleet->reload != NULL)) {
		/* A reload during the sweep has brought services back. */
		fleet->ending = FLEET_SERVES;
		return;
	}
	tick_end_guard(fleet->host.tick);
	if (fleet->childless) {
		loop_stop(fleet->loop);
		return;
	}
	if (fleet->ending == FLEET_SERVES)
		begin_sweep(fleet, now_ms);
	if (fleet->ending == FLEET_SWEEPS && (fleet->killing || now_ms >= fleet->ending_ms)) {
		fleet->ending = FLEET_KILLS;
		fleet->ending_ms = now_ms + LAST_KILL_MS;
	}
	if (fleet->ending != FLEET_KILLS)
		return;
	/* Again every time: what was forked while the last list was read is not on it. */
	descendants_signal(getpid(), SIGKILL);
	if (now_ms >= fleet->ending_ms) {
		log_warn("leaving processes behind that cannot be killed");
		loop_stop(fleet->loop);
	}
}

static void on_watch(void *context)
{
	struct service_watch *watch = context;
	struct tick_service *service = watch->service != NULL ? &watch->service->memory : NULL;
	tick_woken(watch->fleet->host.tick, service, watch->kind, loop_now_ms());
	watch->fleet->tick_ms = 0;
	fleet_turn(watch->fleet);
}

void fleet_drop_watches(struct service_watch watch[TICK_WATCH_KINDS])
{
	for (size_t i = 0; i < TICK_WATCH_KINDS; i++) {
		if (watch[i].fd >= 0)
			loop_watch_free(watch[i].handle);
		watch[i].fd = -1;
	}
}

/* What is waited for is what is wanted.  0, or -errno of the last that could not be had; it was
 * said where that is news. */
static int renew_watches_of(struct fleet *fleet, struct service *service, bool is_news)
{
	const struct tick_service *memory = service != NULL ? &service->memory : NULL;
	struct service_watch *watches = service != NULL ? service->watch : fleet->watch;
	int failed = 0;
	for (enum tick_watch_kind kind = 0; kind < TICK_WATCH_KINDS; kind++) {
		struct service_watch *watch = &watches[kind];
		int fd = tick_watch_fd(fleet->host.tick, memory, kind);
		if (watch->fd == fd)
			continue;
		if (watch->fd >= 0)
			loop_watch_free(watch->handle);
		*watch = (struct service_watch){
			.fleet = fleet, .service = service, .kind = kind, .fd = -1};
		if (fd < 0)
			continue;
		int error = loop_watch_new(fleet->loop, fd, on_watch, watch, &watch->handle);
		if (error == 0)
			watch->fd = fd;
		else
			failed = error;
		if (error != 0 && is_news)
			log_warn("cannot wait for descriptor %d: %s", fd, strerror(-error));
	}
	return failed;
}

/* A watch that could not be made is tried again in every turn, and told of once: without it a
 * service that rings would have to wait for the next turn, for as long as it runs. */
static void renew_watches(struct fleet *fleet)
{
	uint64_t generation = tick_watches_generation(fleet->host.tick);
	bool is_news = !fleet->watches_known || generation != fleet->watches_generation;
	if (!is_news && !fleet->watches_missing)
		return;
	fleet->watches_missing = renew_watches_of(fleet, NULL, is_news) != 0;
	for (size_t i = 0; i < fleet->count; i++)
		if (renew_watches_of(fleet, fleet->service[i], is_news) != 0)
			fleet->watches_missing = true;
	tick_watches_settled(fleet->host.tick);
	fleet->watches_generation = generation;
	fleet->watches_known = true;
}

static uint64_t next_deadline_ms(const struct fleet *fleet, uint64_t now_ms)
{
	uint64_t next_ms = fleet->tick_ms;
	for (size_t i = 0; i < fleet->count; i++) {
		uint64_t due_ms = service_deadline_ms(fleet->service[i]);
		if (due_ms < next_ms)
			next_ms = due_ms;
	}
	if (fleet->ending != FLEET_SERVES && fleet->ending_ms < next_ms)
		next_ms = fleet->ending_ms;
	if (fleet->ending == FLEET_KILLS && now_ms + KILL_AGAIN_MS < next_ms)
		next_ms = now_ms + KILL_AGAIN_MS;
	return next_ms;
}

/* A service is about to look for its process in the link, which shows what the last
 * turn of tick has read. */
static bool shim_is_awaited(const struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->shim_check_ms <= now_ms)
			return true;
	return false;
}

void fleet_turn(struct fleet *fleet)
{
	uint64_t now_ms = loop_now_ms();
	if (shim_is_awaited(fleet, now_ms))
		fleet->tick_ms = now_ms + tick_step(fleet->host.tick, now_ms);
	for (size_t i = 0; i < fleet->count; i++)
		service_step(fleet->service[i], &fleet->host, now_ms);
	fleet_reload_step(fleet, now_ms);
	if (fleet->stopping)
		go_on_stopping(fleet, now_ms);
	go_on_ending(fleet, now_ms);
	if (fleet->tick_ms <= now_ms)
		fleet->tick_ms = now_ms + tick_step(fleet->host.tick, now_ms);
	renew_watches(fleet);
	uint64_t next_ms = next_deadline_ms(fleet, now_ms);
	loop_timer_set(fleet->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

static void on_timer(void *context)
{
	fleet_turn(context);
}

static bool asks_for_release(struct fleet *fleet, int number)
{
	const struct config_supervisor *config = &fleet->config;
	for (size_t i = 0; i < config->pressure_signal_count; i++) {
		if (config->pressure_signals[i].number != number)
			continue;
		tick_ask(fleet->host.tick, NULL, config->pressure_signals[i].level);
		fleet->tick_ms = 0;
		return true;
	}
	return false;
}

static void pass_on(struct fleet *fleet, int number)
{
	bool ends = number == SIGTERM || number == SIGINT || number == SIGQUIT;
	if (number == SIGTTIN || number == SIGTTOU)
		return;
	/* Nobody is there to take it: whoever sends it wants us to end. */
	if (fleet->ending != FLEET_SERVES && ends) {
		fleet->killing = true;
		return;
	}
	service_signal(fleet->service[0], number);
}

static void obey(struct fleet *fleet, int number, uint64_t now_ms)
{
	char name[SIGNALS_NAME_BYTES];
	switch (number) {
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		log_info("SIG%s: stopping", signals_name(number, name));
		stop(fleet, now_ms);
		break;
	case SIGHUP:
		fleet_reload_start(fleet, now_ms);
		break;
	default:
		break;
	}
}

static void on_signal(void *context)
{
	struct fleet *fleet = context;
	struct signals_event event;
	while (signals_read(fleet->host.signals, &event) == 1) {
		uint64_t now_ms = loop_now_ms();
		if (event.number == SIGCHLD) {
			note_stop(fleet);
			reap(fleet, now_ms);
		} else if (event.from_us || asks_for_release(fleet, event.number)) {
			continue;
		} else if (fleet->wrap) {
			pass_on(fleet, event.number);
		} else {
			obey(fleet, event.number, now_ms);
		}
	}
	fleet_turn(fleet);
}

/* The library lies beside us, where the kernel says we are. */
static void find_shim(struct fleet *fleet)
{
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	if (length <= 0)
		return;
	program[length] = '\0';
	if (shim_find(program, fleet->shim_path) == 0)
		fleet->host.shim_path = fleet->shim_path;
}

/* The terminal is handed on only by those who have it: a wrapper started in the
 * background must not take it from the shell. */
static bool has_terminal(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Reload reads it from /.  Links are not resolved: in a mounted ConfigMap it is a
 * link that is moved to the new version. */
static bool note_file(struct fleet *fleet)
{
	bool is_whole = fleet->file[0] == '/' || fleet->start_path[0] == '\0';
	const char *folder = is_whole ? "" : fleet->start_path;
	const char *slash = is_whole ? "" : "/";
	return snprintf(fleet->file_path, sizeof fleet->file_path, "%s%s%s", folder, slash,
		       fleet->file) < (int)sizeof fleet->file_path;
}

/* Said when it is known: a service that finds no descriptor left is worse to understand. */
void fleet_check_budget(const struct fleet *fleet)
{
	struct rlimit limit;
	size_t needed = descriptors_needed(fleet->count);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < needed)
		log_warn("%zu services may need %zu descriptors, and %llu are allowed (ulimit -n): "
			 "some may go without limits, link or watches",
			fleet->count, needed, (unsigned long long)limit.rlim_cur);
	else
		log_debug("%zu services need at most %zu descriptors of %llu", fleet->count, needed,
			(unsigned long long)limit.rlim_cur);
}

static int list_services(struct fleet *fleet)
{
	int error = tick_reserve(fleet->host.tick, fleet->count);
	for (size_t i = 0; error == 0 && i < fleet->count; i++)
		tick_add(fleet->host.tick, &fleet->service[i]->memory);
	return error;
}

static int fleet_init(struct fleet *fleet)
{
	fleet_check_budget(fleet);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 && getpid() != 1)
		log_warn("cannot become the reaper of orphans: %s", strerror(errno));
	find_shim(fleet);
	if (!fleet->wrap && getcwd(fleet->start_path, sizeof fleet->start_path) != NULL)
		fleet->host.start = fleet->start_path;
	if (!fleet->wrap && !note_file(fleet))
		return -ENAMETOOLONG;
	fleet->host.announce = !fleet->wrap;
	fleet->host.sweep_only_kills = fleet->wrap;
	fleet->host.take_terminal = fleet->wrap && has_terminal();
	int error = loop_new(&fleet->loop);
	if (error != 0)
		return error;
	error = loop_timer_new(fleet->loop, on_timer, fleet, &fleet->timer);
	if (error != 0)
		return error;
	error = loop_watch_new(
		fleet->loop, fleet->host.signals->fd, on_signal, fleet, &fleet->signal_watch);
	if (error != 0)
		return error;
	error = tick_open(&fleet->host.tick);
	if (error == 0)
		error = list_services(fleet);
	if (error == 0 && !fleet->wrap)
		error = tick_claim(fleet->host.tick, fleet->file_path);
	return error;
}

/* One object for each service of the config, which gives its settings up. */
static int make_services(struct fleet *fleet, struct config *config)
{
	fleet->config = config->supervisor;
	fleet->service = calloc(config->service_count, sizeof(struct service *));
	if (fleet->service == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->service_count; i++) {
		struct service *service = service_new();
		if (service == NULL)
			return -ENOMEM;
		service_exchange(service, &config->services[i],
			&config->policies[config->services[i].policy]);
		fleet->service[fleet->count++] = service;
	}
	return 0;
}

int fleet_new(const struct fleet_start *start, struct fleet **fleet)
{
	struct fleet *made = calloc(1, sizeof *made);
	int error = made != NULL ? 0 : -ENOMEM;
	if (error == 0)
		error = make_services(made, start->config);
	config_free(start->config);
	free(start->config);
	if (made == NULL)
		return error;
	for (size_t i = 0; i < TICK_WATCH_KINDS; i++)
		made->watch[i].fd = -1;
	made->file = start->file;
	made->wrap = start->file == NULL;
	made->inherited = start->inherited;
	made->host.signals = start->signals;
	made->host.descriptors = start->inherited;
	if (error == 0)
		error = fleet_init(made);
	if (error != 0) {
		fleet_free(made);
		return error;
	}
	*fleet = made;
	return 0;
}

void fleet_free(struct fleet *fleet)
{
	fleet_drop_watches(fleet->watch);
	for (size_t i = 0; i < fleet->count; i++)
		fleet_drop_watches(fleet->service[i]->watch);
	if (fleet->host.tick != NULL)
		tick_close(fleet->host.tick, CLOSE_WAIT_MS);
	loop_watch_free(fleet->signal_watch);
	loop_timer_free(fleet->timer);
	loop_free(fleet->loop);
	fleet_reload_drop(fleet);
	for (size_t i = 0; i < fleet->count; i++)
		service_free(fleet->service[i]);
	free(fleet->service);
	free(fleet);
}

static int exit_status(const struct fleet *fleet)
{
	if (fleet->wrap)
		return fleet->service[0]->exit_status;
	for (size_t i = 0; i < fleet->count && !fleet->stopping; i++)
		if (!fleet->service[i]->expected)
			return 1;
	return 0;
}

/* What became of a service's idle memory in its whole life, where anything did. */
static void report(const char *name, const struct tick_counts *counts)
{
	const struct link_figures *figures = &counts->heap.figures;
	const uint64_t *asked = counts->releases;
	if (asked[LEVEL_LAZY] + asked[LEVEL_EAGER] + asked[LEVEL_FULL] + figures->gate_waits == 0 &&
		counts->heap.heap.released_bytes == 0)
		return;
	log_info("%s: in all: returned %s in the background, %s for growth, %s at lazy, %s at "
		 "eager, %s at full; asked %llu, %llu, %llu times; %s wanted again (%s touched), "
		 "%s of it too soon; %s kept too long; %llums of CPU in the background; %llu gate "
		 "waits, %llu of them in vain; %llu brakes; %llu OOM kills",
		name, size_text(figures->released_background_bytes).text,
		size_text(figures->released_growth_bytes).text,
		size_text(figures->released_lazy_bytes).text,
		size_text(figures->released_eager_bytes).text,
		size_text(figures->released_full_bytes).text, (unsigned long long)asked[LEVEL_LAZY],
		(unsigned long long)asked[LEVEL_EAGER], (unsigned long long)asked[LEVEL_FULL],
		size_text(figures->refault_bytes).text,
		size_text(figures->refault_touched_bytes).text,
		size_text(figures->regret_release_bytes).text,
		size_text(figures->regret_hold_bytes).text,
		(unsigned long long)(figures->background_cpu_ns / 1000000),
		(unsigned long long)figures->gate_waits, (unsigned long long)figures->gate_timeouts,
		(unsigned long long)counts->brakes, (unsigned long long)counts->oom_kills);
}

static void report_all(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct tick_counts counts;
		tick_counts(fleet->host.tick, &fleet->service[i]->memory, &counts);
		report(fleet->service[i]->config->name, &counts);
	}
}

int fleet_run(struct fleet *fleet)
{
	uint64_t now_ms = loop_now_ms();
	for (size_t i = 0; i < fleet->count; i++)
		service_start(fleet->service[i], &fleet->host, now_ms);
	/* Nobody's mount is kept busy by us. */
	if (fleet->wrap || fleet->host.start != NULL) {
		int ignored = chdir("/");
		(void)ignored;
	}
	if (fleet->wrap)
		descriptors_close(fleet->inherited);
	/* What died before the signals were looked at has left one. */
	reap(fleet, now_ms);
	fleet_turn(fleet);
	int error = loop_run(fleet->loop);
	if (error != 0)
		log_error("the event loop failed: %s", strerror(-error));
	report_all(fleet);
	return error != 0 ? 1 : exit_status(fleet);
}
