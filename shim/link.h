#ifndef SHIM_LINK_H
#define SHIM_LINK_H

#include "shim/protocol.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The shim's end of the link (shim/protocol.h).
 *
 * Joined once, by the constructor; from then on the mapping stays for the life
 * of the process image, forked children share it, and no descriptor is needed.
 * Without a link every question below has the answer of a calm, open one.
 *
 * The slot is this process's row.  It is entered before and left after every
 * use, so that it is given up at exit only when nobody uses it; otherwise the
 * supervisor frees it once the process is gone.  While a slot is being
 * prepared or given up, start_ticks is 0: a reader takes that as free.
 *
 * Any process of the service can write over all slots.  One whose own slot no longer names it does
 * not write there any more, and takes another when it next publishes its counters
 * (LINK_SLOT_AGAIN_NS).
 *
 * What the supervisor wrote is copied once and bounded here.  Its header is mapped to be read only.
 *
 * When the supervisor was killed, another one may take its services over (adopt = yes).  It cannot
 * write the sealed header of the one before, so it makes new files, and hands them out at the same
 * address for the same token.  A process that has heard nothing for LINK_SILENT_MS asks there
 * (link_renew) and maps the new files in the place of the old ones, at the same addresses.
 */

#define LINK_SLOT_AGAIN_NS UINT64_C(1000000000)

#define LINK_SOCKET_CHARS 107

/* LINK_ENVIRONMENT, taken apart. */
struct link_address {
	struct link_address_file {
		int fd;
		uint64_t device;
		uint64_t inode;
	} file[LINK_FILES];
	char socket[LINK_SOCKET_CHARS + 1];
	char token[LINK_TOKEN_CHARS + 1];
};

/* What the header asks for, all of one sequence number. */
struct link_request {
	uint32_t sequence;
	enum link_level release_level; /* LINK_CALM: nothing is asked for */
	uint64_t target_bytes;         /* of this process */
};

/* How to scavenge at calm; 0 = the shim's own default. */
struct link_tuning {
	enum link_scavenge scavenge;
	enum link_madvise madvise;
	uint32_t cpu_permille; /* at most 1000 */
	uint64_t price_ns;     /* at most LINK_PRICE_MAX_NS: one page costs as much as one CPU */
};

#define LINK_PRICE_MAX_NS ((uint64_t)1000000000)

/* 0, -EPROTO: of another version, or -EINVAL; address is untouched then. */
int link_address_parse(const char *text, struct link_address *address);
/* Maps the link and takes a slot.  0 or -errno; changes errno. */
int link_join(const struct link_address *address);
bool link_joined(void);

/* Whether the supervisor was there once and has shown no sign of life for LINK_SILENT_MS. */
bool link_is_silent(uint64_t now_ns);

/* Whether the supervisor is at rest, so that it need not show a sign of life yet. */
bool link_rests(uint64_t now_ns);

/* Whether it is gone all the same, as far as the kernel can be asked: both must be in the same PID
 * namespace. */
bool link_is_orphaned(void);

/* Maps other files, which a supervisor has handed out, in the place of those that are mapped, and
 * takes a slot there.  0, -EALREADY: they are the same ones, -EBUSY: the slot is in use just now,
 * or another -errno; nothing has changed then. */
int link_replace(const int fd[LINK_FILES]);
/* Where the link came from.  Only when it is joined. */
const struct link_address *link_origin(void);
/* In link_renew.c: whether files from a listener of that user are taken although they are others
 * than were named: root, or the user whom this process runs as. */
bool link_trusts(uint32_t listener);

/* Whether the supervisor's last sign of life is recent. */
bool link_attended(uint64_t now_ns);
/* The level in force; LINK_CALM without a link or when nobody attends it. */
enum link_level link_level(uint64_t now_ns);
/* False, and nothing is read, without a link or when nobody attends it.  What is out of range
 * is the default. */
bool link_tuning_read(uint64_t now_ns, struct link_tuning *tuning);
/* 0 without a link. */
uint32_t link_sequence(void);
void link_request_read(struct link_request *request);
/* The word to sleep on for a new sequence, NULL without a link, and the bit to sleep with: by slot,
 * so that the first 32 processes of a service have one each. */
_Atomic uint32_t *link_sequence_word(void);
uint32_t link_sequence_bits(void);
/* How long a heap may wait at the gate, bounded. */
uint32_t link_gate_wait_ms(void);
/* NULL without a link. */
struct link_gate *link_gate(void);
/* Whether growth costs credit of that gate. */
bool link_gate_is_limited(void);
/* There is a limit above the service, however far. */
bool link_has_wall(void);
/* The heap grows by so much: true where it is time to tell the supervisor. */
bool link_growth_note(uint64_t bytes);
/* Tells the supervisor that a slot has news. */
void link_notify_supervisor(void);

/* What the slots that are taken from now on say of this process; LINK_ALLOCATOR_SPILLWAY unless
 * set. */
void link_allocator_set(enum link_allocator allocator);
/* The slot to use until link_slot_leave(), or NULL where this process has none. */
struct link_slot *link_slot_enter(void);
void link_slot_leave(void);
/* Takes a slot if the process has none and may have one. */
void link_slot_take(void);
/* At exit. */
void link_slot_free(void);
/* Copies the heap's counters into the slot.  Takes another slot where that is no longer this
 * process's. */
void link_slot_publish(void);
/* Writes the heap's counters to the figures of a slot, or of a page (share_page.h), whose first is
 * in_use_bytes; those that the gate counts are left alone. */
struct heap_stats;
void link_figures_write(_Atomic uint64_t *first, const struct heap_stats *stats);

/* In a forked child, which has one thread: the parent's slot is not ours. */
void link_fork_child(void);

#endif
