#include "tests/fuzz/heap_stream.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/*
 * test_heap_stream [FILE...]: plays streams of random bytes, the same ones in
 * every run, or the files' (what the fuzzer found, say).
 */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define STREAMS 300
#else
#define STREAMS 1500
#endif
#define BYTES_MAX 1024U

static uint8_t bytes[1 << 20];

static size_t random_bytes(void)
{
	size_t count = 1 + random_below(random_below(8) == 0 ? BYTES_MAX : BYTES_MAX / 4);

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(random_next() >> 32);
	return count;
}

/* To be repeated, and made smaller, alone. */
#define KEPT "build/failed_stream"

static void keep(size_t count)
{
	FILE *file = fopen(KEPT, "w");

	if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
		print_error("%s cannot be written\n", KEPT);
}

static void test_streams_of_random_operations_break_no_promise(void **state)
{
	(void)state;
	for (int i = 0; i < STREAMS; i++) {
		size_t count = random_bytes();
		const char *wrong = heap_stream_play(bytes, count);

		if (wrong == NULL)
			continue;
		keep(count);
		fail_msg("stream %d, kept in %s: %s", i, KEPT, wrong);
	}
}

/* Says what each file breaks, and returns how many do. */
static int replay(int count, char **names)
{
	int broken = 0;

	for (int i = 0; i < count; i++) {
		FILE *file = fopen(names[i], "r");
		size_t length = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
		const char *wrong = file != NULL ? heap_stream_play(bytes, length) : "unreadable";

		if (file != NULL)
			fclose(file);
		printf("%s: %s\n", names[i], wrong != NULL ? wrong : "well");
		broken += wrong != NULL;
	}
	return broken;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_of_random_operations_break_no_promise),
	};

	if (argc > 1)
		return replay(argc - 1, argv + 1) != 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
