#ifndef SUPERVISOR_OPTIONS_PEER_H
#define SUPERVISOR_OPTIONS_PEER_H

#include <stdbool.h>

#include "supervisor/options.h"

/* Which program the first word of the command line names. */
enum options_peer options_peer(const char *program);

/*
 * What the peers' environment says: TINI_KILL_PROCESS_GROUP, TINI_VERBOSITY (1 is the usual level),
 * DUMB_INIT_SETSID, DUMB_INIT_DEBUG, CATATONIT_DEBUG.  TINI_SUBREAPER is always so.  A value that
 * makes no sense is as if it were not there.  Adds to *verbosity and sets *single_child.
 */
void options_peer_environment(struct wrap *wrap, int *verbosity, bool *single_child);

#endif
