#ifndef SUPERVISOR_CGROUP_CGROUP_SETTINGS_H
#define SUPERVISOR_CGROUP_CGROUP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/cgroup.h"

/*
 * The files of a leaf besides memory.max and memory.high, which move with the service's usage.
 * These are written when the leaf is made and when a reload changes them; none of them makes the
 * writer wait for memory.
 */

#define CGROUP_SETTINGS_TEXT 192

/* UINT64_MAX for what is off.  Shares are of the wall, without one of the machine's memory. */
uint64_t cgroup_settings_bytes(struct config_amount amount, uint64_t wall_bytes);

/* The names of the keys that ask for something, as "memory_min, oom_group"; "" where none does. */
void cgroup_settings_asked(const struct config_service *config, char names[CGROUP_SETTINGS_TEXT]);

/* Those of them that need that controller. */
void cgroup_settings_needing(const struct config_service *config, enum cgroup_controller controller,
	char names[CGROUP_SETTINGS_TEXT]);

/* Is one of the service's amounts a share of the wall? */
bool cgroup_settings_need_wall(const struct config_service *config);

/* Writes all of them into the leaf, those that ask for nothing as the kernel's default; a new leaf
 * has that already.  Shares are of wall_bytes.  What the kernel refuses or does not have is logged,
 * if it was asked for. */
void cgroup_settings_write(
	int leaf_fd, const struct config_service *config, uint64_t wall_bytes, bool is_new);

#endif
