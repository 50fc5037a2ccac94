#!/bin/bash
# A reload changes limits in place, removes the leaf of a service that is gone, and makes one for a new one.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new reload || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there are no leaves on cgroup v1"
log=$TAP_DIR/log
file=$TAP_DIR/services.ini

leaves() {
  find "$CGROUP_MEMORY" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | tr '\n' ' '
}

leaves_are() {
  [ "$(leaves)" = "$1" ]
}

max_is() {
  [ "$(cat "$CGROUP_MEMORY/$1/memory.max" 2>/dev/null)" = "$2" ]
}

populated() {
  grep -q 'populated 1' "$CGROUP_MEMORY/$1/cgroup.events" 2>/dev/null
}

service() {
  printf '[service:%s]\ncommand = sleep 1000\nmemory_max = %s\n' "$1" "$2"
}

{ service first 64M && service second 32M; } >"$file"
(cgroup_exec "$spillway" run "$file") >"$TAP_DIR/out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "both are in their leaves" wait_until 60 populated second
tap_is "which are" "$(leaves)" "first second supervisor "
tap_ok "with their limits" max_is first $((64 << 20))
was=$(cat "$CGROUP_MEMORY/second/cgroup.procs")

{ service third 16M && service second 48M; } >"$file"
kill -HUP "$pid"
tap_ok "one goes and one comes" wait_until 60 leaves_are "second supervisor third "
tap_ok "the new one runs in its leaf" wait_until 60 populated third
tap_ok "the one that stays has its new limit" wait_until 60 max_is second $((48 << 20))
tap_diag "second was $was, is $(cat "$CGROUP_MEMORY/second/cgroup.procs")"

echo '[service:second]' >"$file"
kill -HUP "$pid"
tap_ok "a file that is wrong is refused" wait_until 60 grep -q 'services.ini:' "$log"
tap_is "a file that is wrong changes nothing" "$(leaves)" "second supervisor third "

# Somebody moves all of a service elsewhere, and its leaf goes.
tap_ok "what was in a leaf is moved away" sh -c \
  'while read -r moved; do echo "$moved" >"$1/supervisor/cgroup.procs"; done <"$1/second/cgroup.procs"' - "$CGROUP_MEMORY"
tap_ok "the leaf is removed" rmdir "$CGROUP_MEMORY/second"
tap_ok "it is made again" wait_until 60 max_is second $((48 << 20))
tap_ok "which the log says" wait_until 60 grep -q 'second: its cgroup was removed, and is made again' "$log"
tap_ok "the service ran on" kill -0 "$was"

# The same while nothing of it runs, before the next start.
third_of() {
  sed -n 's/.* third: started, pid \([0-9]*\).*/\1/p' "$log" | tail -n 1
}
ends_and_goes() {
  kill -KILL "$(third_of)" 2>/dev/null
  rmdir "$CGROUP_MEMORY/third" 2>/dev/null
}
starts_in_its_leaf() {
  populated third && [ "$(cat "$CGROUP_MEMORY/third/cgroup.procs")" = "$(third_of)" ]
}
was=$(third_of)
tap_ok "a leaf goes between two starts" wait_until 60 ends_and_goes
tap_ok "the next start is in one again" wait_until 60 starts_in_its_leaf
tap_ok "with its limit" max_is third $((16 << 20))
tap_ok "which is another process" [ "$(third_of)" != "$was" ]
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_is "and leaves nothing" "$(leaves)" ""
tap_diag "$(tail -n 12 "$log" | cut -c 1-180)"
tap_done
