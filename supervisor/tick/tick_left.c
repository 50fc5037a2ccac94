/* Whose services the tick has, and what an earlier supervisor has left of them in cgroups. */
#include <errno.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/tick/tick_private.h"

const char *tick_base_directory(const struct tick *tick)
{
	return tick->tree != NULL ? cgroup_tree_directory(tick->tree) : "";
}

const char *tick_listener_name(const struct tick *tick)
{
	return link_listener_name(tick->listener);
}

static void say_another(const struct tick *tick, const char *file)
{
	log_error("%s: another supervisor runs its services: see the cgroups beside %s", file,
		tick_directory(tick));
}

int tick_claim(struct tick *tick, const char *file)
{
	int error = tick->tree != NULL ? cgroup_tree_claim(tick->tree, file) : 0;
	if (error == -EALREADY)
		say_another(tick, file);
	else if (error != 0)
		log_warn("cgroup %s: not locked: %s", tick_directory(tick), strerror(-error));
	return error == -EALREADY ? error : 0;
}

int tick_end_leftovers(struct tick *tick, const char *file)
{
	int error = tick->tree != NULL ? cgroup_tree_end_leftovers(tick->tree) : 0;
	if (error == -EALREADY)
		say_another(tick, file);
	return error;
}
