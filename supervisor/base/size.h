#ifndef SUPERVISOR_BASE_SIZE_H
#define SUPERVISOR_BASE_SIZE_H

#include <stdint.h>

/* Bytes for people: "812", "18.2M", "256M", "1.5G"; "no limit" for UINT64_MAX. */
#define SIZE_TEXT_BYTES 16

struct size_text {
	char text[SIZE_TEXT_BYTES];
};

struct size_text size_text(uint64_t bytes);

#endif
