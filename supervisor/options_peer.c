/* The small init programs whose name we may be called by: their names and their environment. */
#include "supervisor/options_peer.h"

#include <stdlib.h>
#include <string.h>

#include "config/units.h"

#define VERBOSITY_USUAL 1 /* of TINI_VERBOSITY */
#define VERBOSITY_MOST 4
#define DEBUG_STEPS 2 /* from the usual level to debug */

enum options_peer options_peer(const char *program)
{
	static const struct {
		const char *name;
		enum options_peer peer;
	} rows[] = {
		{"tini", OPTIONS_PEER_TINI},
		{"tini-static", OPTIONS_PEER_TINI},
		{"docker-init", OPTIONS_PEER_TINI},
		{"dumb-init", OPTIONS_PEER_DUMB_INIT},
		{"catatonit", OPTIONS_PEER_CATATONIT},
	};
	const char *slash = program != NULL ? strrchr(program, '/') : NULL;
	const char *name = slash != NULL ? slash + 1 : program;
	for (size_t i = 0; name != NULL && i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(name, rows[i].name) == 0)
			return rows[i].peer;
	return OPTIONS_PEER_NONE;
}

static bool is_on(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

void options_peer_environment(struct wrap *wrap, int *verbosity, bool *single_child)
{
	const char *value = getenv("TINI_VERBOSITY");
	int steps;
	if (value != NULL && units_parse_integer(value, 0, VERBOSITY_MOST, &steps) == 0)
		*verbosity += steps - VERBOSITY_USUAL;
	if (is_on("DUMB_INIT_DEBUG") || is_on("CATATONIT_DEBUG"))
		*verbosity += DEBUG_STEPS;
	/* It is there or not, whatever its value. */
	if (getenv("TINI_KILL_PROCESS_GROUP") != NULL)
		wrap->target = WRAP_TO_GROUP;
	value = getenv("DUMB_INIT_SETSID");
	*single_child = value != NULL && strcmp(value, "0") == 0;
}
