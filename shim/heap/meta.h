#ifndef SHIM_HEAP_META_H
#define SHIM_HEAP_META_H

#include <stddef.h>
#include <stdint.h>

/*
 * Memory for the heap's own records: spans and thread caches.  It is carved
 * from reservations of its own, never goes back to the kernel, and is zero
 * when taken for the first time only.
 */
#define META_ALIGNMENT 128

/* Records up to this size are kept for reuse by meta_put. */
#define META_REUSED_BYTES 512

/* 128-aligned; NULL when memory is out.  What is not to be touched costs nothing. */
void *meta_take(size_t bytes);
void meta_put(void *record, size_t bytes);

/* Whole pages that records have been cut from. */
uint64_t meta_bytes(void);

/* For locks.h. */
struct lock;
void meta_locks(void (*visit)(struct lock *lock));

#endif
