/*
 * One run of the demo: starts the workers inside the limited cgroup, or the
 * supervisor that starts them, drives them through the schedule from outside, measures,
 * and writes a record.
 *
 * The schedule's clock stands still while a worker is further than LAG from
 * its target.  So a slow machine takes longer instead of letting one worker's
 * fall trail into the next one's rise, which would break the promise that
 * the live bytes fit.
 */

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/bench/demo/cgroup_files.h"
#include "tests/bench/demo/client.h"
#include "tests/bench/demo/record.h"
#include "tests/bench/demo/spillway_log.h"
#include "tests/bench/demo/wire.h"

#define LAG_BYTES (6ULL << 20)
#define TICK_MS 10
#define SAMPLE_MS 50
#define RESTART_MS 200
#define BEGIN_MS 30000
#define STOP_MS 20000
#define PATH_BYTES 100
#define CONNECTIONS 4

/* worker_path NULL: command starts the workers. */
struct settings {
	const char *name;
	const char *memory_directory;
	const char *unified_directory;
	const char *socket_directory;
	const char *record_path;
	const char *log_path;
	const char *worker_path;
	const char *preload_path; /* for the worker; NULL: none */
	char **command;
	uint32_t deadline_ms;
	struct client_settings client;
};

struct child {
	pid_t pid; /* 0 = not running */
	uint64_t restart_at_ms;
	char *argv[4];
};

struct run {
	struct settings settings;
	_Atomic uint64_t schedule_ms;
	char socket_path[SCHEDULE_WORKERS][PATH_BYTES];
	struct client *clients[SCHEDULE_WORKERS];
	struct child children[SCHEDULE_WORKERS];
	size_t child_count;
	int log_pipe[2];
	FILE *log;
	uint64_t began_ms;
	uint64_t oom_kills;
	struct record record;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void tick_sleep(void)
{
	struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};

	nanosleep(&tick, NULL);
}

static void child_exec(const struct run *run, char **argv)
{
	const struct settings *settings = &run->settings;
	int rc = cgroup_enter(settings->memory_directory);

	if (rc == 0 && settings->unified_directory)
		rc = cgroup_enter(settings->unified_directory);
	if (rc < 0) {
		(void)fprintf(stderr, "driver: cannot enter the cgroup: %s\n", strerror(-rc));
		_exit(126);
	}
	prctl(PR_SET_PDEATHSIG, settings->command ? SIGTERM : SIGKILL);
	if (run->log) {
		dup2(run->log_pipe[1], STDOUT_FILENO);
		dup2(run->log_pipe[1], STDERR_FILENO);
	}
	if (settings->preload_path)
		setenv("LD_PRELOAD", settings->preload_path, 1);
	execv(argv[0], argv);
	(void)fprintf(stderr, "driver: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int child_start(struct run *run, struct child *child, char **argv)
{
	child->pid = fork();
	if (child->pid < 0) {
		child->pid = 0;
		return -errno;
	}
	if (child->pid == 0)
		child_exec(run, argv);
	return 0;
}

static int children_start(struct run *run)
{
	struct settings *settings = &run->settings;
	int rc = 0;

	if (settings->command) {
		run->child_count = 1;
		return child_start(run, &run->children[0], settings->command);
	}
	run->child_count = SCHEDULE_WORKERS;
	for (unsigned i = 0; i < SCHEDULE_WORKERS && rc == 0; i++) {
		struct child *child = &run->children[i];

		child->argv[0] = (char *)settings->worker_path;
		child->argv[1] = run->socket_path[i];
		rc = child_start(run, child, child->argv);
	}
	return rc;
}

static uint32_t run_ms(const struct run *run)
{
	return run->began_ms ? (uint32_t)(now_ms() - run->began_ms) : 0;
}

/* Takes note of children that ended and starts them again.  The supervisor is
 * not: without it the run is over.  -ECHILD then, else 0 or another -errno. */
static int children_watch(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < run->child_count; i++) {
			if (run->children[i].pid != pid)
				continue;
			run->children[i].pid = 0;
			run->children[i].restart_at_ms = now_ms() + RESTART_MS;
			if (run->settings.command || !WIFSIGNALED(status) ||
				WTERMSIG(status) != SIGKILL) {
				(void)fprintf(stderr, "driver: %s ended early (status 0x%x)\n",
					run->settings.name, (unsigned)status);
				return -ECHILD;
			}
		}
	}
	for (size_t i = 0; i < run->child_count; i++) {
		struct child *child = &run->children[i];
		int rc;

		if (child->pid != 0 || now_ms() < child->restart_at_ms)
			continue;
		rc = child_start(run, child, child->argv);
		if (rc < 0)
			return rc;
		run->record.totals.restarts++;
	}
	return 0;
}

static bool children_running(const struct run *run)
{
	for (size_t i = 0; i < run->child_count; i++)
		if (run->children[i].pid != 0)
			return true;
	return false;
}

static void log_drain(struct run *run)
{
	char text[4096];
	ssize_t size;

	if (!run->log)
		return;
	while ((size = read(run->log_pipe[0], text, sizeof(text))) > 0)
		(void)fwrite(text, 1, (size_t)size, run->log);
	(void)fflush(run->log);
}

/* Sends the signal to each and waits.  True: all ended in time, by themselves. */
static bool children_end(struct run *run, int number, uint64_t wait_ms)
{
	uint64_t until_ms = now_ms() + wait_ms;
	bool clean = true;

	for (size_t i = 0; i < run->child_count; i++)
		if (run->children[i].pid != 0)
			kill(run->children[i].pid, number);
	while (children_running(run) && now_ms() < until_ms) {
		for (size_t i = 0; i < run->child_count; i++) {
			struct child *child = &run->children[i];
			int status;

			if (child->pid != 0 &&
				waitpid(child->pid, &status, WNOHANG) == child->pid) {
				child->pid = 0;
				clean = clean && WIFEXITED(status) && WEXITSTATUS(status) == 0;
			}
		}
		log_drain(run);
		tick_sleep();
	}
	log_drain(run);
	return clean && !children_running(run);
}

static int sample_take(struct run *run)
{
	const char *directory = run->settings.memory_directory;
	struct record_sample sample = {
		.at_ms = run_ms(run),
		.current_bytes = cgroup_usage_bytes(directory),
	};
	uint64_t kills = cgroup_oom_kills(directory);

	for (; run->oom_kills < kills; run->oom_kills++)
		record_kill(&run->record, sample.at_ms);
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		sample.live_bytes[i] = client_live_bytes(run->clients[i]);
	return record_sample(&run->record, &sample);
}

static bool clients_began(const struct run *run)
{
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		if (!client_began(run->clients[i]))
			return false;
	return true;
}

static bool clients_keep_up(const struct run *run)
{
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		if (client_lag_bytes(run->clients[i]) > LAG_BYTES)
			return false;
	return true;
}

static int clients_start(struct run *run)
{
	uint64_t until_ms = now_ms() + BEGIN_MS;
	int rc = 0;

	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++) {
		run->clients[i] = client_start(&run->settings.client, i, run->socket_path[i]);
		if (!run->clients[i])
			return -ENOMEM;
	}
	while (!clients_began(run) && rc == 0 && !interrupted) {
		rc = now_ms() < until_ms ? children_watch(run) : -ETIMEDOUT;
		log_drain(run);
		tick_sleep();
	}
	run->began_ms = now_ms();
	return rc;
}

static int follow_schedule(struct run *run)
{
	const struct settings *settings = &run->settings;
	uint64_t length_ms = schedule_length_ms(&settings->client.schedule);
	uint64_t last_ms = now_ms();
	uint64_t next_sample_ms = last_ms;
	int rc = 0;

	while (rc == 0 && !interrupted && atomic_load(&run->schedule_ms) < length_ms &&
		run_ms(run) < settings->deadline_ms) {
		uint64_t now;

		tick_sleep();
		now = now_ms();
		if (clients_keep_up(run))
			atomic_fetch_add(&run->schedule_ms, now - last_ms);
		last_ms = now;
		rc = children_watch(run);
		log_drain(run);
		if (rc == 0 && now >= next_sample_ms) {
			rc = sample_take(run);
			next_sample_ms = now + SAMPLE_MS;
		}
	}
	return rc;
}

static void clients_stop(struct run *run)
{
	struct record_totals *totals = &run->record.totals;
	static struct histogram latency;

	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++) {
		const struct client_totals *client;

		if (!run->clients[i])
			continue;
		client_stop(run->clients[i], &latency);
		client = client_totals(run->clients[i]);
		totals->served += client->served;
		totals->lost += client->lost;
		totals->wrong += client->wrong;
		totals->objects_lost += client->objects_lost;
		/* The supervisor's restarts are seen from here: each follows a death. */
		if (run->settings.command)
			totals->restarts += client->deaths;
		client_free(run->clients[i]);
	}
	totals->latency_p50_us = histogram_quantile_us(&latency, 500);
	totals->latency_p99_us = histogram_quantile_us(&latency, 990);
	totals->latency_max_us = latency.max_us;
}

static int log_open(struct run *run)
{
	if (!run->settings.log_path)
		return 0;
	if (pipe2(run->log_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	fcntl(run->log_pipe[1], F_SETFL, 0);
	run->log = fopen(run->settings.log_path, "we");
	return run->log ? 0 : -errno;
}

static int run_demo(struct run *run)
{
	struct settings *settings = &run->settings;
	struct record_totals *totals = &run->record.totals;
	int rc;

	(void)snprintf(run->record.name, sizeof(run->record.name), "%s", settings->name);
	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
		if (snprintf(run->socket_path[i], PATH_BYTES, "%s/worker%u.sock",
			    settings->socket_directory, i) >= PATH_BYTES)
			return -ENAMETOOLONG;
	totals->supervised = settings->command != NULL;
	totals->limit_bytes = cgroup_limit_bytes(settings->memory_directory);
	totals->schedule_length_ms = schedule_length_ms(&settings->client.schedule);
	totals->schedule_needed_ms = schedule_round_ms(&settings->client.schedule);
	rc = log_open(run);
	if (rc == 0)
		rc = children_start(run);
	if (rc == 0)
		rc = clients_start(run);
	if (rc == 0)
		rc = follow_schedule(run);
	totals->elapsed_ms = run_ms(run);
	totals->schedule_ms = atomic_load(&run->schedule_ms);
	clients_stop(run);
	totals->clean_exit = children_end(run, SIGTERM, STOP_MS);
	if (!totals->clean_exit)
		(void)children_end(run, SIGKILL, STOP_MS);
	totals->kills = cgroup_oom_kills(settings->memory_directory);
	totals->current_peak_bytes = cgroup_peak_bytes(settings->memory_directory);
	record_summarise(&run->record);
	if (run->log)
		(void)fclose(run->log);
	if (settings->command && settings->log_path &&
		spillway_log_totals(settings->log_path, totals) < 0)
		(void)fprintf(
			stderr, "driver: %s does not say what was returned\n", settings->log_path);
	return rc;
}

enum option_name {
	OPTION_NAME,
	OPTION_MEMORY,
	OPTION_UNIFIED,
	OPTION_SOCKETS,
	OPTION_RECORD,
	OPTION_LOG,
	OPTION_WORKER,
	OPTION_PRELOAD,
	OPTION_SEED,
	OPTION_PERIOD,
	OPTION_CYCLES,
	OPTION_RATE,
	OPTION_LARGE,
	OPTION_DEADLINE,
	OPTIONS
};

static const struct option options[] = {
	[OPTION_NAME] = {"name", required_argument, NULL, 0},
	[OPTION_MEMORY] = {"memory", required_argument, NULL, 0},
	[OPTION_UNIFIED] = {"unified", required_argument, NULL, 0},
	[OPTION_SOCKETS] = {"sockets", required_argument, NULL, 0},
	[OPTION_RECORD] = {"record", required_argument, NULL, 0},
	[OPTION_LOG] = {"log", required_argument, NULL, 0},
	[OPTION_WORKER] = {"worker", required_argument, NULL, 0},
	[OPTION_PRELOAD] = {"preload", required_argument, NULL, 0},
	[OPTION_SEED] = {"seed", required_argument, NULL, 0},
	[OPTION_PERIOD] = {"period-ms", required_argument, NULL, 0},
	[OPTION_CYCLES] = {"cycles", required_argument, NULL, 0},
	[OPTION_RATE] = {"rate", required_argument, NULL, 0},
	[OPTION_LARGE] = {"large-one-in", required_argument, NULL, 0},
	[OPTION_DEADLINE] = {"deadline-ms", required_argument, NULL, 0},
	[OPTIONS] = {NULL, 0, NULL, 0},
};

static void settings_read(struct settings *settings, int argc, char **argv)
{
	const char *text[OPTIONS] = {
		[OPTION_NAME] = "run",
		[OPTION_SEED] = "1",
		[OPTION_PERIOD] = "10000",
		[OPTION_CYCLES] = "4",
		[OPTION_RATE] = "400",
		[OPTION_LARGE] = "8",
		[OPTION_DEADLINE] = "80000",
	};
	int index;

	while (getopt_long(argc, argv, "+", options, &index) == 0)
		text[index] = optarg;
	settings->name = text[OPTION_NAME];
	settings->memory_directory = text[OPTION_MEMORY];
	settings->unified_directory = text[OPTION_UNIFIED];
	settings->socket_directory = text[OPTION_SOCKETS];
	settings->record_path = text[OPTION_RECORD];
	settings->log_path = text[OPTION_LOG];
	settings->worker_path = text[OPTION_WORKER];
	settings->preload_path = text[OPTION_PRELOAD];
	settings->command = optind < argc ? argv + optind : NULL;
	settings->deadline_ms = (uint32_t)strtoul(text[OPTION_DEADLINE], NULL, 10);
	settings->client = (struct client_settings){
		.schedule =
			{
				.seed = strtoull(text[OPTION_SEED], NULL, 10),
				.period_ms = (uint32_t)strtoul(text[OPTION_PERIOD], NULL, 10),
				.cycles = (uint32_t)strtoul(text[OPTION_CYCLES], NULL, 10),
			},
		.connections = CONNECTIONS,
		.rate_per_s = (uint32_t)strtoul(text[OPTION_RATE], NULL, 10),
		.large_one_in = (uint32_t)strtoul(text[OPTION_LARGE], NULL, 10),
		.timeout_ms = 15000,
	};
}

static bool settings_hold(const struct settings *settings)
{
	const struct client_settings *client = &settings->client;

	return settings->memory_directory && settings->socket_directory && settings->record_path &&
	       !settings->worker_path == !!settings->command && client->schedule.period_ms > 0 &&
	       client->rate_per_s > 0 && client->large_one_in > 0;
}

int main(int argc, char **argv)
{
	static struct run run;
	struct sigaction action = {.sa_handler = on_signal};
	int rc;

	settings_read(&run.settings, argc, argv);
	run.settings.client.schedule_ms = &run.schedule_ms;
	if (!settings_hold(&run.settings)) {
		(void)fprintf(stderr, "usage: driver --memory DIR [--unified DIR] --sockets DIR"
				      " --record FILE [--log FILE] [--name NAME] [--seed N]\n"
				      "       [--period-ms N] [--cycles N] [--rate N]"
				      " [--large-one-in N] [--deadline-ms N]\n      "
				      " (--worker PATH [--preload LIBRARY] | -- COMMAND...)\n");
		return 2;
	}
	if (schedule_sum_peak_bytes(&run.settings.client.schedule) > SCHEDULE_SUM_BYTES_MAX) {
		(void)fprintf(stderr, "driver: this seed's live bytes do not stay small enough\n");
		return 2;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	rc = run_demo(&run);
	if (interrupted)
		return 128 + interrupted;
	if (rc < 0)
		(void)fprintf(stderr, "driver: %s: %s\n", run.settings.name, strerror(-rc));
	if (run.record.sample_count > 0) {
		int saved = record_save(&run.record, run.settings.record_path);

		if (saved < 0)
			(void)fprintf(stderr, "driver: %s: %s\n", run.settings.record_path,
				strerror(-saved));
		rc = rc < 0 ? rc : saved;
	}
	record_free(&run.record);
	return rc < 0 ? 1 : 0;
}
