/* Joins the link that the environment names. */
#include "shim/link_begin.h"

#include "shim/environment.h"
#include "shim/heap/base/os.h"
#include "shim/kernel.h"
#include "shim/link.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
	(void)kernel_write(STDERR_FILENO, text, strlen(text));
}

/* A line may come in pieces: nobody else writes yet. */
static void say_foreign(const char *library)
{
	say("spillway: the supervisor is of another version than ");
	say(library);
	say("; running without a link\n");
}

void link_begin(char **environment, const char *library)
{
	const char *text = environment_find(environment, LINK_ENVIRONMENT);
	struct link_address address;
	int error;

	if (text == NULL || os_is_sandboxed())
		return;
	error = link_address_parse(text, &address);
	if (error == -EINVAL)
		say("spillway: bad " LINK_ENVIRONMENT
		    " in the environment; running without a link\n");
	else if (error == -EPROTO || link_join(&address) == -EPROTO)
		say_foreign(library);
}
