#include "tests/fuzz/heap_stream.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *wrong = heap_stream_play(data, size);

	if (wrong == NULL)
		return 0;
	fprintf(stderr, "%s\n", wrong);
	abort();
}
