#include "tests/config/loading.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* Texts that people copy from: what is shipped as an example has to be one. */

static struct config config;

/* PATH below the root of the sources: this program is ROOT/build/VARIANT/tests/config/PROGRAM. */
static void source_path(const char *path, char result[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", result, PATH_MAX - 1);

	assert_true(length > 0);
	result[length] = '\0';
	for (int i = 0; i < 5; i++) {
		char *slash = strrchr(result, '/');
		assert_non_null(slash);
		*slash = '\0';
	}
	length = (ssize_t)strlen(result);
	assert_true(snprintf(result + length, PATH_MAX - (size_t)length, "/%s", path) <
		    PATH_MAX - length);
}

/* The whole file, for free(); NULL where there is none. */
static char *source_read(const char *path)
{
	static const size_t most = 1024 * (size_t)1024;
	char full_path[PATH_MAX];
	char *text;
	FILE *stream;
	size_t length;

	source_path(path, full_path);
	stream = fopen(full_path, "re");
	if (stream == NULL)
		return NULL;
	text = malloc(most);
	assert_non_null(text);
	length = fread(text, 1, most - 1, stream);
	assert_true(feof(stream));
	fclose(stream);
	text[length] = '\0';
	return text;
}

static void test_the_default_file_holds_the_built_in_values(void **state)
{
	static struct config defaults;
	char *text = source_read("packaging/spillway.ini");

	(void)state;
	assert_non_null(text);
	loading_succeeds(text, &config);
	config_defaults(&defaults);
	assert_int_equal(config.service_count, 0);
	assert_int_equal(config.policy_count, 1);
	assert_true(config_policy_equal(&config.policies[0], &defaults.policies[0]));
	assert_memory_equal(&config.supervisor, &defaults.supervisor, sizeof config.supervisor);
	config_free(&config);
	free(text);
}

static void test_the_default_file_names_every_key(void **state)
{
	/* As an unknown key has them listed. */
	static const char *const sections[] = {
		"[supervisor]\n?=\n", "[service:x]\ncommand=x\n?=\n", "[policy:x]\n?=\n"};
	static struct config_errors errors;
	char *text = source_read("packaging/spillway.ini");
	size_t keys = 0;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
		char *rest;
		char *key;
		assert_int_equal(
			config_load_text(sections[i], strlen(sections[i]), &config, &errors),
			-EINVAL);
		rest = strstr(errors.error[0].text, "expected ");
		assert_non_null(rest);
		rest += strlen("expected ");
		while ((key = strsep(&rest, ", ")) != NULL) {
			char setting[80];
			if (*key == '\0')
				continue;
			snprintf(setting, sizeof setting, "%s = ", key);
			if (strstr(text, setting) == NULL)
				fail_msg("no \"%s\" in packaging/spillway.ini", setting);
			keys++;
		}
	}
	assert_true(keys > 20);
	free(text);
}

/* "#key = value" is an example, "# words" are words. */
static void test_the_examples_in_the_default_file_can_be_used(void **state)
{
	char *text = source_read("packaging/spillway.ini");
	char *to = text;

	(void)state;
	assert_non_null(text);
	for (const char *from = text; *from != '\0'; from++) {
		bool starts = from == text || from[-1] == '\n';
		if (starts && from[0] == '#' && from[1] != ' ' && from[1] != '\n')
			continue;
		*to++ = *from;
	}
	*to = '\0';
	loading_succeeds(text, &config);
	assert_int_equal(config.service_count, 2);
	assert_string_equal(config.services[1].name, "web");
	assert_non_null(config.services[1].directory);
	assert_non_null(config.services[1].user);
	assert_non_null(config.services[1].environment);
	assert_true(config.services[1].memory_max.bytes > 0);
	assert_int_equal(config.policy_count, 2);
	assert_int_equal(config.services[1].policy, 1);
	config_free(&config);
	free(text);
}

static void test_the_ini_blocks_of_the_readme_load(void **state)
{
	static const char fence[] = "```ini\n";
	char *text = source_read("README.md");
	char *block;

	(void)state;
	assert_non_null(text);
	block = strstr(text, fence);
	assert_non_null(block);
	for (; block != NULL; block = strstr(block, fence)) {
		char *end;
		block += strlen(fence);
		end = strstr(block, "\n```");
		assert_non_null(end);
		loading_succeeds_with(block, (size_t)(end + 1 - block), &config);
		assert_true(config.service_count > 0);
		config_free(&config);
		block = end + 1;
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_default_file_holds_the_built_in_values),
		cmocka_unit_test(test_the_default_file_names_every_key),
		cmocka_unit_test(test_the_examples_in_the_default_file_can_be_used),
		cmocka_unit_test(test_the_ini_blocks_of_the_readme_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
