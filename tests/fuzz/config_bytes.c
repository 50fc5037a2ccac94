/* Bytes as a configuration file. */
#include "tests/fuzz/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "tests/support/config_whole.h"

static const char *judge(int error, struct config *config, const struct config_errors *errors)
{
	if (error != 0)
		return error == -EINVAL ? config_errors_whole(errors) : "an error of its own";
	const char *wrong = errors->count == 0 ? config_whole(config) : "it loads, with errors";
	config_free(config);
	return wrong;
}

const char *config_bytes_play(const uint8_t *bytes, size_t count)
{
	static struct config config;
	static struct config_errors errors;
	/* Of its own, so that a read behind its end is seen. */
	char *text = malloc(count > 0 ? count : 1);
	if (text == NULL)
		return NULL;
	if (count > 0)
		memcpy(text, bytes, count);
	int error = config_load_text(text, count, &config, &errors);
	free(text);
	return judge(error, &config, &errors);
}
