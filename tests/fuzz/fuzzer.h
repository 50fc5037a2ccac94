#ifndef TESTS_FUZZ_FUZZER_H
#define TESTS_FUZZ_FUZZER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What libFuzzer calls, once in each of its programs: play() returns NULL or what is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZER(play) \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) \
	{ \
		const char *wrong = play(data, size); \
		if (wrong == NULL) \
			return 0; \
		fprintf(stderr, "%s\n", wrong); \
		abort(); \
	}

#endif
