#!/bin/bash
# Tiny programs under the preload library, one rule each.  TAP; after make all programs.
#   BUILD: the variant's folder, build/release unless set
. "$(dirname "$0")/../support/preload.sh"

xml_is_valid() {
	under "$programs/info" && grep -q 'in use bytes' "$TAP_DIR/stderr" &&
		grep -q '^background CPU   =  *[0-9]* ns$' "$TAP_DIR/stderr" &&
		/usr/bin/python3 -c '
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "malloc" and int(root.find("aspace").get("size")) > 0
heap = {name: int(value) for name, value in root.find("spillway").items()}
assert heap["released_full"] > 9000000 and heap["advise_calls"] > 0 and heap["advise_ns"] > 0
for name in ("in_use free_slots idle_dirty lazy clean metadata released_background released_growth "
	"released_lazy released_eager refault refault_touched regret_release regret_hold break_even_ns "
	"background_cpu_ns lock_waits lock_wait_ns lock_wait_max_ns").split():
	assert heap[name] >= 0' "$TAP_DIR/stdout"
}

is_preloaded() {
	grep -q libspillway "$1"
}

without_environment() {
	under env -i /bin/cat /proc/self/maps && ! is_preloaded "$TAP_DIR/stdout"
}

in_children() {
	under sh -c 'sh -c "cat /proc/self/maps; true"; true' && is_preloaded "$TAP_DIR/stdout"
}

cplusplus() {
	g++ -std=c++17 -O2 -Wall -Wextra -pthread -o "$TAP_DIR/operators" tests/preload/operators.cc &&
		under "$TAP_DIR/operators"
}

main_exits() {
	under "$programs/main_exits" && [ "$(cat "$TAP_DIR/stdout")" = over ]
}

bad_variable() {
	SPILLWAY_LINK="$1" under "$programs/early" || return
	grep -qx 'spillway: bad SPILLWAY_LINK .*' "$TAP_DIR/stderr" &&
		[ "$(wc -l <"$TAP_DIR/stderr")" -eq 1 ]
}

foreign_variable() {
	SPILLWAY_LINK="$1" under "$programs/early" || return
	grep -qx 'spillway: the supervisor is of another version .*' "$TAP_DIR/stderr" &&
		[ "$(wc -l <"$TAP_DIR/stderr")" -eq 1 ]
}

# Well formed, but nothing answers: silence.
dead_variable() {
	SPILLWAY_LINK="$1" under "$programs/early" && ! [ -s "$TAP_DIR/stderr" ]
}

rule "arguments and errno follow glibc, C and POSIX" "$programs/rules"
rule "what C, POSIX and the manual say of every block holds, whoever made it" "$programs/standards"
rule "C23's sized frees are the library's" "$programs/sized_free"
rule "every alignment and usable size is honoured" "$programs/alignment"
rule "blocks keep their contents through realloc, to their usable end" "$programs/contents"
rule "realloc keeps contents over every size's end, and blocks share no byte" "$programs/resized"
rule "calloc gives zeros whatever was there before" "$programs/zeroed"
tap_ok "the figures are true and malloc_info is XML" xml_is_valid
rule "malloc_trim gives everything idle back" "$programs/trim"
rule "what idles goes back while more threads are busy than there are processors" "$programs/busy"
rule "a process that filters its system calls is not killed for ours" "$programs/seccomp"
rule "nor one that does so before it grows" "$programs/seccomp" first
for way in prctl seccomp tsync; do
	rule "a filter by $way lets pass what glibc's malloc calls: that is enough" "$programs/sandbox" $way
	rule "and beside the scavenger's thread" "$programs/sandbox" $way after
done
rule "threads work and end under such a filter" "$programs/sandbox" threads
tap_ok "a program is started under such a filter" "$programs/sandbox" exec "$LIB"
name="under the filter of a container there is a thread, and no process_madvise"
if unshare --pid --fork --mount-proc true 2>/dev/null; then
	tap_ok "$name" unshare --pid --fork --mount-proc "$programs/sandbox" container "$LIB"
else
	tap_skip "$name" "this machine allows no namespace of processes"
fi
for way in prctl seccomp tsync threads; do
	tap_ok "the same is enough for glibc's malloc: $way" "$programs/sandbox" $way
done
tap_ok "and from the start" "$programs/sandbox" exec ""
rule "malloc works before the constructors" "$programs/early"
rule "fork handlers may allocate" "$programs/fork_handlers"
tap_ok "a process whose main thread left ends with its last thread" main_exits
needs_aside() {
	local name=$1 status
	shift
	under "$programs/aside" "$@"
	status=$?
	if [ $status -eq 77 ]; then
		tap_skip "$name" "the kernel allows no user namespace here"
	else
		tap_ok "$name" [ $status -eq 0 ]
	fi
}
needs_aside "a process that grew can leave its user namespace, and the thread goes along" unshare
needs_aside "also by the call's number" unshare-by-number
mkfifo "$TAP_DIR/watch"
export MEMORY_PRESSURE_WATCH="$TAP_DIR/watch"
needs_aside "the thread that watches memory pressure steps aside as well" unshare
unset MEMORY_PRESSURE_WATCH
export SPILLWAY_LIMIT=1M
needs_aside "the thread that keeps the process's limit steps aside as well" unshare
rule "and stays outside of no filter" "$programs/aside" filter
rule "threads allocate while others fork under a limit" "$programs/fork_threads"
export SPILLWAY_LIMIT=16M SPILLWAY_SCAVENGE=off
rule "what idles beyond a limit of the process's own goes" "$programs/limited" keep
rule "no number of a descriptor is taken for it, and none is missed" "$programs/limited" descriptors
rule "nor needed" "$programs/limited" without-descriptors
rule "the child of a fork keeps it by itself" "$programs/limited" fork
rule "a limit that is missed is none" "$programs/limited" missed
unset SPILLWAY_LIMIT SPILLWAY_SCAVENGE
rule "no thread stays outside of a filter that the process puts on itself" "$programs/aside" filter
rule "nor of one by the call's number" "$programs/aside" filter-by-number
rule "a child of vfork that drops privileges leaves its parent's thread alone" "$programs/aside" vfork
rule "calls that fail do so as ever, and the thread comes back" "$programs/aside" fail
rule "the thread runs on all CPUs of the process, whoever made it" "$programs/aside" affinity
rule "a bare clone gets a scavenger of its own" "$programs/bare_fork"
rule "every descriptor may be closed" "$programs/close_all"
if [ "$(id -u)" -eq 0 ]; then
	rule "without RLIMIT_NPROC there is no thread" "$programs/limit_nproc"
	mkdir "$TAP_DIR/jail"
	rule "an empty root is enough" "$programs/jail" "$TAP_DIR/jail"
	rule "no thread keeps capabilities that the process drops" "$programs/aside" capset
	rule "the scavenger's thread starts late, follows setuid, gives back and sleeps" "$programs/worker"
else
	tap_skip "RLIMIT_NPROC, chroot, setuid, capset" "needs root"
fi
tap_ok "exec'd children have it too" in_children
tap_ok "env -i runs without it" without_environment
tap_ok "C++'s operators, handlers and exceptions work" cplusplus
token=0123456789abcdef0123456789abcdef
files=4:5:6:7:8:9
for value in "" x 3 "3:$files" "3:$files:name" "3:$files::$token" "-3:$files:name:$token" \
	"3:$files:name:${token%f}" "3:$files:name:${token%f}g" "3:$files:name:${token}0" \
	"3:99999999999:5:6:7:8:9:name:$token" "3:4:99999999999999999999:6:7:8:9:name:$token" \
	"3:4:5:6:7:8:name:$token" "3:$files:$(printf '%0200d' 0):$token" " 3:$files:name:$token"; do
	tap_ok "a bad SPILLWAY_LINK is one line: '${value:0:40}'" bad_variable "$value"
done
for value in "200:5:6:name:$token" "2:$files:name:$token" "4:what:comes:then"; do
	tap_ok "a link of another version is one line: '$value'" foreign_variable "$value"
done
for value in "3:$files:spillway-nobody:$token" "3:2147483647:5:6:7:8:9:spillway-nobody:$token"; do
	tap_ok "a dead SPILLWAY_LINK is silence: '$value'" dead_variable "$value"
done
tap_done
