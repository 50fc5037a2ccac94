#ifndef SHIM_HEAP_BASE_META_H
#define SHIM_HEAP_BASE_META_H

#include "shim/heap/base/records.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Memory for the heap's own records: spans and thread caches, zero when taken for the
 * first time only.
 *
 * Those of up to META_REUSED_BYTES can be put back, and pages that have only such
 * free ones go back to the kernel (records.h).  Larger ones are cut from reservations
 * one behind the other and stay.
 */
#define META_ALIGNMENT RECORD_UNIT
#define META_REUSED_BYTES (RECORD_UNITS_MAX * RECORD_UNIT)

/* 128-aligned; NULL when memory is out.  What is not to be touched costs nothing. */
void *meta_take(size_t bytes);
/* At most META_REUSED_BYTES. */
void meta_put(void *record, size_t bytes);

/* Whole pages that records were cut from and that did not go back since. */
uint64_t meta_bytes(void);

/*
 * Gives free pages of records back to the kernel, all but keep_pages and at most
 * `most`.  How many went.  No lock is held while the kernel works.
 */
size_t meta_give_back(size_t keep_pages, size_t most);

/* Lock held.  NULL = all invariants hold, else what does not. */
const char *meta_check_locked(void);

/* For locks.h. */
struct lock;
void meta_locks(void (*visit)(struct lock *lock));

#endif
