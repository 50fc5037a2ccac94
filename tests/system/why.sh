#!/bin/bash
# kernels: 6.1
# The kernel kills a process that runs on the library alone: spillctl why says which one, by which
# limit, and where its memory was.  So it does of one that came near, and of no other.
. "$(dirname "$0")/../support/system.sh"
cgroup_new why || tap_skip_all "$CGROUP_WHY"
preload=$BUILD/lib/libspillway.so
spillctl=$BUILD/bin/spillctl
limit=$((96 << 20))
STEP_MIB=8
cgroup_limit "$CGROUP_MEMORY" $limit
unset SPILLWAY_SHARE

start() {
  (LD_PRELOAD=$preload cgroup_exec "$memory" "$@") >"$TAP_DIR/out" 2>&1 &
  started=$!
  at_exit_kill "$started"
}

# why WHAT: its lines are in $TAP_DIR/why, its JSON in $TAP_DIR/json
why() {
  "$spillctl" why "$1" >"$TAP_DIR/why" 2>"$TAP_DIR/complained" || return
  "$spillctl" why --json "$1" >"$TAP_DIR/json"
}

field() {
  /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))' "$TAP_DIR/json" "$1"
}

# within KEY LEAST MOST, of MiB
within() {
  local value
  value=$(field "$1")
  [ "$value" -ge $(($2 << 20)) ] && [ "$value" -le $(($3 << 20)) ] || {
    echo "$1 is $value"
    return 1
  }
}

# A memory that is far from the limit: nothing to say.
out=$TAP_DIR/out
start grow $STEP_MIB
wait_until 60 said small "$out"
grow "$started" 0
why "$CGROUP_MEMORY"
tap_is "of a process far from its limit nothing is known" $? 1
tap_ok "which is said" grep -q 'nothing is known' "$TAP_DIR/complained"

# Near it, by what it keeps.
near() {
  why "$CGROUP_MEMORY" && [ "$(field end)" = near ] && within live_bytes 80 92
}
for ((grown = 8; grown < 88; grown += 8)); do
  grow "$started" 0
done
tap_ok "one that is near is explained" wait_until 60 near
tap_ok "it is said to be live" grep -q '^would have helped: .* were live' "$TAP_DIR/why"
tap_is "in three lines" "$(wc -l <"$TAP_DIR/why")" 3
tap_ok "its process names the cgroup, too" why "$started"
kill -TERM "$started"
wait "$started" 2>/dev/null

# Beyond it.
start hog 60
hog=$started
wait "$hog" 2>/dev/null
tap_is "another one is killed" $? 137
tap_ok "why says so" why "$CGROUP_MEMORY"
tap_diag "$(cat "$TAP_DIR/why")"
tap_ok "and names the process" grep -q "^killed: memory (pid $hog) at " "$TAP_DIR/why"
tap_is "JSON has it" "$(field pid)" "$hog"
tap_is "with the limit" "$(field limit_bytes)" $limit
tap_ok "the usage" within used_bytes 90 96
tap_ok "what was live, as the process wrote it last" within live_bytes 60 96
tap_is "and what would have helped" "$(/usr/bin/python3 -c '
import json, sys
print(json.load(open(sys.argv[1]))["advice"][0]["rule"])' "$TAP_DIR/json")" live
tap_ok "a part of the cgroup's name is enough" why "${CGROUP_MEMORY##*/}"
if [ "$(id -u)" -eq 0 ] && setpriv --reuid 65534 --clear-groups "$spillctl" --version >/dev/null 2>&1; then
  setpriv --reuid 65534 --clear-groups "$spillctl" why "$CGROUP_MEMORY" >"$TAP_DIR/why" 2>&1
  tap_ok "without the kernel's log the process's own figures tell" grep -q "^killed: memory (pid $hog) at .* of 96M used" "$TAP_DIR/why"
  tap_diag "$(cat "$TAP_DIR/why")"
else
  tap_skip "without the kernel's log the process's own figures tell" "the user cannot be changed to nobody"
fi
"$spillctl" why no-such-cgroup >/dev/null 2>&1
tap_is "of a name that nothing has nothing is known" $? 1
"$spillctl" why >/dev/null 2>&1
tap_is "no name at all is wrong usage" $? 2
tap_done
