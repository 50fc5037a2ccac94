#ifndef TESTS_FUZZ_HEAP_BYTES_H
#define TESTS_FUZZ_HEAP_BYTES_H

#include "tests/support/heap_model.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes as what the heap's calls are given; behind the end there are zeros. */
struct heap_bytes {
	const uint8_t *at;
	const uint8_t *end;
};

unsigned heap_bytes_one(struct heap_bytes *bytes);
size_t heap_bytes_pair(struct heap_bytes *bytes);

/* Of every order up to 16 MiB; those around the ends of size classes more often than others. */
size_t heap_bytes_size(struct heap_bytes *bytes);

/* A call with what it needs. */
struct heap_operation heap_bytes_operation(struct heap_bytes *bytes, enum heap_call call);

#endif
