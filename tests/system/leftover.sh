#!/bin/bash
# What a killed supervisor has left running is ended before the next one starts the same services.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
root=$(cgroup_mount cgroup2)
[ -n "$root" ] && grep -qw memory "$root/cgroup.controllers" || tap_skip_all "no leaves are made here"
grep -qx "0::/" /proc/self/cgroup || tap_skip_all "it wants to start at the root of the machine"
notes=$TAP_DIR/notes
ini=$TAP_DIR/services.ini

# The lock stands for a port.
cat >"$ini" <<INI
[service:port]
command = flock -n $TAP_DIR/port sh -c 'echo has the port >>$notes; exec sleep 1000'
[service:deaf]
command = sh -c 'trap "" TERM; echo deaf >>$notes; while :; do sleep 1; done'
INI
: >"$notes"

begin() {
  "$spillway" run "$ini" >"$TAP_DIR/out" 2>"$TAP_DIR/log.$1" </dev/null &
  pid=$!
  at_exit_kill "$pid"
}

noted() {
  [ "$(grep -c "$1" "$notes")" -ge "$2" ]
}

begin first
first=$pid
tap_ok "both services run" eval 'wait_until 60 noted port 1 && wait_until 60 noted deaf 1'
"$spillway" run "$ini" 2>"$TAP_DIR/log.twin" </dev/null
tap_is "a second supervisor of the same file does not start" $? 1
tap_ok "and says why" said "another supervisor runs its services" "$TAP_DIR/log.twin"

kill -KILL "$first"
wait "$first"
left=$(cat "$root/spillway-$first"/*/cgroup.procs)
tap_ok "killed, it leaves them running" [ -n "$left" ]
begin next
tap_ok "the next one gets the port" wait_until 60 noted port 2
tap_ok "and starts the other" wait_until 60 noted deaf 2
none_left() {
  local process
  for process in $left; do
    ! kill -0 "$process" 2>/dev/null || return 1
  done
}
tap_ok "what was left has ended" none_left
tap_ok "and says so" said 'left by an earlier supervisor: [1-9][0-9]* processes ended' "$TAP_DIR/log.next"
tap_ok "its cgroup is gone" [ ! -e "$root/spillway-$first" ]
kill -TERM "$pid"
wait_until 60 said 'SIGTERM: stopping' "$TAP_DIR/log.next"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops" $? 0
tap_done
