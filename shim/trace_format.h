#ifndef SHIM_TRACE_FORMAT_H
#define SHIM_TRACE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A trace: every malloc, calloc, realloc, memalign and free of one process in
 * their order, as the shim records it (SPILLWAY_TRACE) and the simulator reads it.
 *
 * Version 1.  A header of TRACE_HEADER_BYTES, the magic with the version as its
 * last byte, then records without padding up to the end of the file:
 *
 *	byte		the operation
 *	number		nanoseconds since the record before; the first: since the start
 *
 *	TRACE_THREAD	number: what follows is this thread's, counted from 0
 *	TRACE_MALLOC	number: bytes; address
 *	TRACE_CALLOC	number: bytes, the product; address
 *	TRACE_MEMALIGN	number: log2 of the alignment; number: bytes; address
 *	TRACE_REALLOC	address of the old block, never NULL; number: bytes; address
 *	TRACE_FREE	address
 *	TRACE_END	nothing; the trace is complete and covers the time until here
 *
 * A number is LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
 * An address is a number, the difference to the address before in the file (0 at
 * first), zigzagged: 0, -1, 1, -2 are 0, 1, 2, 3.
 *
 * Only what succeeded is recorded: no address is 0, and none is made twice
 * without having been freed.  What is freed may be unknown: it is from before
 * the recording.  A file may end after any record, as it does when the process
 * was killed.
 */

#define TRACE_HEADER_BYTES 8U
#define TRACE_MAGIC "SPWTRC\n\x01"

enum trace_op {
	TRACE_END,
	TRACE_THREAD,
	TRACE_MALLOC,
	TRACE_CALLOC,
	TRACE_MEMALIGN,
	TRACE_REALLOC,
	TRACE_FREE,
	TRACE_OPS
};

#define TRACE_NUMBER_BYTES_MAX 10U
/* An operation and at most four numbers. */
#define TRACE_RECORD_BYTES_MAX (1 + 4 * TRACE_NUMBER_BYTES_MAX)

static inline unsigned char *trace_put_number(unsigned char *at, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		*at++ = (unsigned char)(number | 0x80);
	*at++ = (unsigned char)number;
	return at;
}

/* *before: the address before, which this one becomes. */
static inline unsigned char *trace_put_address(
	unsigned char *at, uint64_t address, uint64_t *before)
{
	uint64_t difference = address - *before;

	*before = address;
	return trace_put_number(at, difference << 1 ^ -(difference >> 63));
}

/* What a record says; fields that an operation does not have are 0. */
struct trace_record {
	enum trace_op op;
	unsigned alignment_log2;
	uint64_t gap_ns; /* since the record before */
	uint64_t thread; /* of TRACE_THREAD */
	uint64_t bytes;
	uint64_t old;
	uint64_t block;
};

/* Writes a record, up to TRACE_RECORD_BYTES_MAX; returns its end. */
static inline unsigned char *trace_put(
	unsigned char *at, const struct trace_record *record, uint64_t *before)
{
	enum trace_op op = record->op;

	*at++ = (unsigned char)op;
	at = trace_put_number(at, record->gap_ns);
	if (op == TRACE_THREAD)
		at = trace_put_number(at, record->thread);
	if (op == TRACE_MEMALIGN)
		at = trace_put_number(at, record->alignment_log2);
	if (op == TRACE_REALLOC || op == TRACE_FREE)
		at = trace_put_address(at, record->old, before);
	if (op >= TRACE_MALLOC && op <= TRACE_REALLOC) {
		at = trace_put_number(at, record->bytes);
		at = trace_put_address(at, record->block, before);
	}
	return at;
}

static inline bool trace_get_number(
	const unsigned char **at, const unsigned char *end, uint64_t *number)
{
	*number = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint64_t byte = *(*at)++;

		if (shift == 63 && byte > 1)
			return false;
		*number |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

static inline bool trace_get_address(
	const unsigned char **at, const unsigned char *end, uint64_t *before, uint64_t *address)
{
	uint64_t number;

	if (!trace_get_number(at, end, &number))
		return false;
	*before += number >> 1 ^ -(number & 1);
	*address = *before;
	return true;
}

/* Reads the record at *at and moves that behind it; false: it is cut off before end, or none. */
static inline bool trace_get(const unsigned char **at, const unsigned char *end,
	struct trace_record *record, uint64_t *before)
{
	uint64_t alignment_log2 = 0;
	unsigned op;

	if (*at == end || (op = *(*at)++) >= TRACE_OPS)
		return false;
	*record = (struct trace_record){.op = (enum trace_op)op};
	if (!trace_get_number(at, end, &record->gap_ns) ||
		(op == TRACE_THREAD && !trace_get_number(at, end, &record->thread)) ||
		(op == TRACE_MEMALIGN && !trace_get_number(at, end, &alignment_log2)) ||
		((op == TRACE_REALLOC || op == TRACE_FREE) &&
			!trace_get_address(at, end, before, &record->old)) ||
		(op >= TRACE_MALLOC && op <= TRACE_REALLOC &&
			(!trace_get_number(at, end, &record->bytes) ||
				!trace_get_address(at, end, before, &record->block))))
		return false;
	record->alignment_log2 = (unsigned)alignment_log2;
	return alignment_log2 < 64;
}

#endif
