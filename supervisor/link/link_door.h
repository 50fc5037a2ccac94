#ifndef SUPERVISOR_LINK_LINK_DOOR_H
#define SUPERVISOR_LINK_LINK_DOOR_H

#include <stdint.h>

#include "shim/protocol.h"

/*
 * The door: one abstract SOCK_SEQPACKET socket per supervisor, at which a process
 * that lost the inherited descriptors sends its token and is given the link's
 * files again.
 *
 * Everybody in the network namespace can knock.  So no call blocks, a visitor
 * has LINK_DOOR_PATIENCE_MS to speak, there are LINK_DOOR_VISITORS chairs, the one who has sat
 * longest gives way to the next, and one call serves a bounded number.  When no descriptor is
 * left for a visitor, one that is kept in reserve takes it in, and it is sent away: what
 * waits at a level-triggered listener would wake the loop again at once.  Where that
 * fails too, the door is shut until the next link_door_open_again().  So is it after
 * LINK_DOOR_VISITS in one second, which bounds what a process costs that knocks for ever.  A
 * token is 128 random bits and is compared in constant time.
 */

#define LINK_DOOR_VISITORS 16
#define LINK_DOOR_PATIENCE_MS 2000
#define LINK_DOOR_VISITS 256U
#define LINK_DOOR_PERIOD_MS UINT64_C(1000)

struct link_door;

int link_door_open(struct link_door **door);
void link_door_close(struct link_door *door);

/* Without its leading NUL. */
const char *link_door_name(const struct link_door *door);

/* For the loop: readable when somebody knocks or speaks. */
int link_door_fd(const struct link_door *door);
void link_door_serve(struct link_door *door, uint64_t now_ms);

/* To be called now and then: a door that was shut is tried again, one that was shut for too many
 * visits when its second is over. */
void link_door_open_again(struct link_door *door, uint64_t now_ms);

/* Who knows the token is given duplicates of fd, which stay the caller's.  0 or -ENOMEM. */
int link_door_add(struct link_door *door, const char *token, const int fd[LINK_FILES]);
void link_door_remove(struct link_door *door, const char *token);

#endif
