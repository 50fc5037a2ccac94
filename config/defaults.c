/* What is in force where a file says nothing. */
#include "config/defaults.h"

#include <signal.h>

/* supervisord's */
#define LOG_BYTES (UINT64_C(50) << 20)
#define LOG_BACKUPS 10

const struct config_supervisor default_supervisor = {
	.pressure_signals = {{SIGUSR1, LEVEL_EAGER}, {SIGUSR2, LEVEL_FULL}},
	.pressure_signal_count = 2,
};

const struct config_service default_service = {
	.autostart = true,
	.autorestart = CONFIG_RESTART_UNEXPECTED,
	.backoff = CONFIG_BACKOFF_DOUBLING,
	.exitcodes = {1}, /* bit 0 */
	.startretries = CONFIG_RETRIES_ENDLESS,
	.log = {{.max_bytes = LOG_BYTES, .backups = LOG_BACKUPS},
		{.max_bytes = LOG_BYTES, .backups = LOG_BACKUPS}},
	.start_timeout_ms = 90000,
	.health_interval_ms = 10000,
	.health_timeout_ms = 3000,
	.health_retries = 3,
	.priority = CONFIG_PRIORITY_USUAL,
	.stopsignal = SIGTERM,
	.stopwait_ms = 10000,
	.on_pressure_level = LEVEL_FULL,
	.shim = CONFIG_SHIM_AUTO,
	.allocator = CONFIG_ALLOCATOR_SPILLWAY,
};

const struct config_policy default_policy = {
	.name = "default",
	.at =
		{
			[LEVEL_LAZY] =
				{
					.headroom = {.permille = 250},
					.time_to_wall_ms = 10000,
					.pressure = {CONFIG_PSI_SOME, 50, 2000},
				},
			[LEVEL_EAGER] =
				{
					.headroom = {.permille = 150},
					.time_to_wall_ms = 4000,
					.pressure = {CONFIG_PSI_SOME, 150, 2000},
				},
			[LEVEL_FULL] =
				{
					.headroom = {.permille = 80},
					.time_to_wall_ms = 1000,
					.pressure = {CONFIG_PSI_FULL, 100, 2000},
				},
		},
	.hold_ms = 5000,
	.reserve = {.permille = 40},
	.gate_wait_ms = 200,
	.brake = {.permille = 60},
	.brake_hold_ms = 3000,
	.scavenge = CONFIG_SCAVENGE_ADAPTIVE,
	.madvise = CONFIG_MADVISE_AUTO,
	.scavenge_cpu_permille = 10,
	.core_worth_bytes = UINT64_C(1) << 30,
};
