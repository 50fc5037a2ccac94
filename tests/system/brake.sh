#!/bin/bash
# A service that drives towards its wall is braked through memory.high, and the brake comes off again.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new brake || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there is no memory.high on cgroup v1"
log=$TAP_DIR/log
out=$TAP_DIR/out
leaf=$CGROUP_MEMORY/rush
LIMIT_MIB=256
STEP_MIB=5

high_is_max() {
  [ "$(cat "$leaf/memory.high")" = max ]
}

high_is_set() {
  ! high_is_max
}

# begin HOLD: without the shim nothing can come back, so the brake is all there is between the service
# and the wall.
begin() {
  cat >"$TAP_DIR/rush.ini" <<INI
[policy:short]
brake_hold = $1
[service:rush]
command = $memory grow $STEP_MIB
memory_max = ${LIMIT_MIB}M
policy = short
shim = off
INI
  (cgroup_exec "$spillway" run "$TAP_DIR/rush.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "brake_hold $1: the service is up" wait_until 60 said small "$out"
  child=$(pgrep -P "$pid" -f "^$memory grow")
}

# grows_until COMMAND...: the service grows until COMMAND succeeds: at first as fast as it can, and near
# the wall one step for each look of the supervisor, which sees three before it would be too late.
grows_until() {
  local free_mib=$((LIMIT_MIB * 7 / 8))
  grown_mib=0
  until "$@"; do
    [ $grown_mib -lt $LIMIT_MIB ] && grow "$child" $free_mib || return 1
    [ $grown_mib -lt $free_mib ] || supervisor_looks "$pid" || return 1
  done
}

end() {
  tap_is "brake_hold $1: the service was not killed" "$(pgrep -P "$pid" -f "^$memory grow")" "$child"
  tap_is "brake_hold $1: nobody was" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
  tap_diag "$(grep 'brake' "$log" | cut -c 1-200 | head -n 10)"
  kill -TERM "$pid"
  wait "$pid"
  tap_is "brake_hold $1: it stops cleanly" $? 0
}

# For so long that it stays on until it was seen.
begin 10m
tap_ok "memory.high is not set before there is need" high_is_max
tap_ok "near the wall memory.high is set" grows_until high_is_set
tap_ok "the log says why and for how long" said \
  "rush: brake on: \(headroom [0-9.]*M < [0-9.]*M of ${LIMIT_MIB}M\|[0-9]*ms < 1000ms to the wall of ${LIMIT_MIB}M\); memory.high [0-9.]*M for at most 600000ms" "$log"
end 10m

begin 500ms
tap_ok "with a short hold it is on as well" grows_until said 'rush: brake on: ' "$log"
tap_ok "when the service has stopped growing it comes off" wait_until 60 said 'rush: brake off: ' "$log"
tap_ok "and memory.high is as it was" wait_until 60 high_is_max
end 500ms

# unbraked_by SIGNAL NAME: the supervisor is sent it while a brake is on.
unbraked_by() {
  begin "$3"
  tap_ok "$2: memory.high is set" grows_until high_is_set
  kill -"$1" "$pid"
  tap_ok "$2: memory.high is given back" wait_until 60 high_is_max
}

unbraked_by STOP "a supervisor that is stopped" 5s
kill -CONT "$pid"
kill -TERM "$pid"
wait "$pid"
tap_is "it goes on and stops cleanly" $? 0
unbraked_by KILL "a supervisor that is killed" 10m
wait "$pid"
tap_ok "the service lives on" kill -0 "$child"
guardless() {
  ! grep -qs '^Name:.spillway-guard' /proc/[0-9]*/status
}
tap_ok "nobody who guarded it is left" wait_until 60 guardless
kill -KILL "$child"
tap_done
