#ifndef SUPERVISOR_FLEET_LEFT_FILE_H
#define SUPERVISOR_FLEET_LEFT_FILE_H

#include <stdbool.h>

#include "supervisor/fleet/left_state.h"

/*
 * Where the state is kept: DIRECTORY/spillway/HASH/state, HASH being one of the configuration
 * file's path, and DIRECTORY the first of /run and XDG_RUNTIME_DIR where that can be made.  HASH is
 * ours alone (0700), and locked for as long as we live, so that there is one supervisor of a file.
 * What belongs to another user, or is no directory, is not used.
 *
 * The state is written anew as a whole and renamed, so that it is complete whenever we are killed.
 */

struct left_file;

/* 0, -EALREADY: a supervisor that lives has it, or another -errno. */
int left_file_open(const char *config_path, struct left_file **file);

/* What an earlier supervisor wrote: 0; -ENOENT: nothing, or nothing that means anything here and
 * now; or another -errno. */
int left_file_read(const struct left_file *file, struct left_state *state);

/* boot and pid_namespace are filled in.  A thread writes, and is waited for for LEFT_FILE_WAIT_MS:
 * -EINPROGRESS when the file system hangs.  What the thread had then may still be written; who has
 * something newer calls this again. */
#define LEFT_FILE_WAIT_MS 200U
int left_file_write(struct left_file *file, struct left_state *state);

/* Nothing is left: removes the state as well, unless what it says is kept. */
void left_file_close(struct left_file *file, bool keep);

#endif
