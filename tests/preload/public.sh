#!/bin/bash
# spillway.h, with the preload library and without.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"

alone() {
	env -u LD_PRELOAD "$programs/public" alone
}

# compiled NAME COMPILER...: the header without a warning, then a program that sees whether the
# library is there.
compiled() {
	local source=$1 out=$TAP_DIR/compiled
	shift
	"$@" -Wall -Wextra -Wpedantic -Werror -I. -o "$out" "$source" &&
		env -u LD_PRELOAD "$out" 0 && under "$out" 1
}

cat >"$TAP_DIR/plain.c" <<'SOURCE'
#include <stdlib.h>
#include "shim/spillway.h"
int main(int count, char **arguments)
{
	struct spillway_stats stats;
	if (count != 2 || spillway_is_loaded() != atoi(arguments[1]))
		return 1;
	return spillway_stats != NULL && spillway_stats(&stats, sizeof stats) != 0;
}
SOURCE

tap_ok "without the library every function is NULL" alone
tap_ok "C++ has it, too" compiled tests/preload/public.cc g++ -std=c++11 -O2
tap_ok "plain C has it" compiled "$TAP_DIR/plain.c" gcc -std=c99 -O2
tap_ok "hidden symbols are no obstacle" compiled "$TAP_DIR/plain.c" gcc -std=c99 -O2 -fvisibility=hidden
tap_ok "nor is a program that is not position-independent" \
	compiled "$TAP_DIR/plain.c" gcc -std=c99 -O2 -fno-pic -no-pie
if command -v clang >/dev/null; then
	tap_ok "clang has it" compiled "$TAP_DIR/plain.c" clang -std=c99 -O2
	tap_ok "clang has it without position independence, too" \
		compiled "$TAP_DIR/plain.c" clang -std=c99 -O2 -fno-pic -no-pie -fno-plt
else
	tap_skip "clang has it" "clang is not installed"
fi
rule "the figures add up, and their struct may grow" "$programs/public" stats
rule "spillway_free_os_memory gives everything idle back" "$programs/public" free_os_memory
rule "a level of the process's own is in force at once" "$programs/public" level
rule "every change of level wakes the thread and is told" "$programs/public" wakes
rule "subscribers are told until they unsubscribe" "$programs/public" subscribers
rule "they come and go while the level changes" "$programs/public" crowd
rule "a forked child keeps its subscriptions" "$programs/public" fork
# Below a limit the child gives back what it inherited, at any level: children.sh.
SPILLWAY_LIMIT=off rule "a fork gives back first at eager and above, not below" "$programs/public" fork_release
if [ "$(id -u)" -eq 0 ]; then
	rule "without a thread the level holds and nobody is told" "$programs/public" without_thread
else
	tap_skip "without a thread" "needs root"
fi
tap_done
