#ifndef SUPERVISOR_FLEET_LEFT_STATE_H
#define SUPERVISOR_FLEET_LEFT_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/config.h"
#include "shim/protocol.h"
#include "supervisor/cgroup/mode.h"

/*
 * What a supervisor notes for the one that may come after it (adopt = yes), as a text:
 *
 *   spillway 1                        the version of this format
 *   boot ID                           /proc/sys/kernel/random/boot_id
 *   pids INODE                        of the pid namespace that the pids are of
 *   listener NAME                     where processes ask for the link's files (shim/protocol.h)
 *   base PATH                         the cgroup that its leaves are in; without it there are none
 *   service NAME PID START MARK LEAF LINK LAST
 *                                     one that runs: its main process, when that was started (field
 *                                     22 of /proc/PID/stat), a hash of the settings that make it
 *                                     the process it is, its cgroup's name below base (- = none),
 *                                     the LINK_ENVIRONMENT that it was started with (- = none), and
 *                                     that of the link that its processes have joined since, which
 *                                     is another one where it was adopted before
 *
 * A line that is none of these makes the whole text worthless.
 */

#define LEFT_LINK_BYTES 256
#define LEFT_BOOT_BYTES 40

struct left_service {
	char name[CONFIG_NAME_BYTES];
	pid_t pid;
	uint64_t start_ticks;
	uint64_t mark;
	char leaf[128];             /* "" = none */
	char link[LEFT_LINK_BYTES]; /* "" = none */
	char last[LEFT_LINK_BYTES]; /* "" = none */
};

struct left_state {
	char boot[LEFT_BOOT_BYTES];
	uint64_t pid_namespace;
	char listener[64];
	char base[MODE_PATH_BYTES + 128];
	struct left_service *service; /* owned */
	size_t count;
};

/* 0, -EINVAL or -ENOMEM; *state is empty in these cases.  text ends with NUL and is changed. */
int left_state_parse(char *text, struct left_state *state);
void left_state_format(const struct left_state *state, FILE *stream);
void left_state_free(struct left_state *state);

/* Of the link's text: its last LINK_TOKEN_CHARS characters; NULL = it is none. */
const char *left_state_token(const struct left_service *service);

#endif
