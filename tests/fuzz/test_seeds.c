#include "tests/fuzz/targets.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/random.h"

/*
 * test_seeds [NAME FILE...]: plays the seeds of every target, each of them whole, cut short and
 * changed, the same in every run; or the files for that target (what the fuzzer found, say).
 */
/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define SEEDS "tests/fuzz/seeds"
#define BYTES_MAX ((size_t)1 << 16)
#define KEPT "build/failed_seed"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct target {
	const char *name;
	const char *(*play)(const uint8_t *bytes, size_t count);
	unsigned changed; /* how often each seed is */
} targets[] = {
	{"config", config_bytes_play, 400},
	{"expand", expand_bytes_play, 2000},
	{"cgroup", cgroup_bytes_play, 2000},
	{"link", link_bytes_play, 500},
	/* Each makes a fleet. */
	{"control", control_bytes_play, 4},
};

static uint8_t seed[BYTES_MAX];
static uint8_t bytes[2 * BYTES_MAX];

static size_t read_file(const char *path, uint8_t *to)
{
	FILE *file = fopen(path, "r");
	size_t count = file != NULL ? fread(to, 1, BYTES_MAX, file) : 0;
	if (file != NULL)
		fclose(file);
	return count;
}

static void play(const struct target *target, const char *name, size_t count)
{
	const char *wrong = target->play(bytes, count);
	if (wrong == NULL)
		return;
	FILE *file = fopen(KEPT, "w");
	if (file != NULL) {
		fwrite(bytes, 1, count, file);
		fclose(file);
	}
	fail_msg("%s, from %s, kept in %s: %s", target->name, name, KEPT, wrong);
}

/* One of: a byte is another, some are gone, some are there twice. */
static size_t change(size_t count)
{
	size_t at = random_below(count + 1);
	size_t size = random_below(count - at + 1);
	switch (random_below(4)) {
	case 0:
		memmove(bytes + at, bytes + at + size, count - at - size);
		return count - size;
	case 1:
		if (count + size > BYTES_MAX)
			return count;
		memmove(bytes + at + size, bytes + at, count - at);
		return count + size;
	default:
		bytes[at < count ? at : 0] = (uint8_t)random_below(256);
		return count == 0 ? 1 : count;
	}
}

static void play_seed(const struct target *target, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, SEEDS "/%s/%s", target->name, name);
	size_t count = read_file(path, seed);
	assert_true(count > 0);
	memcpy(bytes, seed, count);
	play(target, name, count);
	for (unsigned i = 0; i < target->changed; i++) {
		memcpy(bytes, seed, count);
		size_t left = count;
		for (size_t changes = 1 + random_below(4); changes > 0; changes--)
			left = change(left);
		play(target, name, left);
	}
	for (unsigned i = 0; i < target->changed / 4; i++) {
		memcpy(bytes, seed, count);
		play(target, name, random_below(count + 1));
	}
}

static void test_seeds_and_what_is_like_them_break_no_promise(void **state)
{
	const struct target *target = *state;
	char directory[64];
	struct dirent **entry;
	snprintf(directory, sizeof directory, SEEDS "/%s", target->name);
	/* Sorted, so that each run changes them alike. */
	int count = scandir(directory, &entry, NULL, alphasort);
	assert_true(count > 2);
	random_begin(0);
	for (int i = 0; i < count; i++) {
		if (entry[i]->d_name[0] != '.')
			play_seed(target, entry[i]->d_name);
		free(entry[i]);
	}
	free(entry);
}

/* Says what each file breaks, and returns how many do. */
static int replay(const char *name, char **files)
{
	int broken = 0;
	for (size_t i = 0; i < COUNT(targets); i++) {
		for (char **file = files; strcmp(targets[i].name, name) == 0 && *file != NULL;
			file++) {
			const char *wrong = targets[i].play(bytes, read_file(*file, bytes));
			printf("%s: %s\n", *file, wrong != NULL ? wrong : "well");
			broken += wrong != NULL;
		}
	}
	return broken;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[COUNT(targets)];
	if (argc > 2)
		return replay(argv[1], argv + 2) != 0;
	for (size_t i = 0; i < COUNT(targets); i++)
		tests[i] = (struct CMUnitTest){.name = targets[i].name,
			.test_func = test_seeds_and_what_is_like_them_break_no_promise,
			.initial_state = (void *)&targets[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
