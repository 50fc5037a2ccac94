#!/bin/bash
# A service that rushes towards its wall is braked through memory.high, and the brake comes off again.
. "$(dirname "$0")/../support/system.sh"
cgroup_new brake || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there is no memory.high on cgroup v1"
log=$TAP_DIR/log
out=$TAP_DIR/out
leaf=$CGROUP_MEMORY/rush

said() {
  grep -q "$1" "$2"
}

high_is_max() {
  [ "$(cat "$leaf/memory.high")" = max ]
}

high_is_set() {
  ! high_is_max
}

# Without the shim nothing can come back, so the brake is all there is between it and the wall.
cat >"$TAP_DIR/rush.ini" <<END
[policy:short]
brake_hold = 1s
[service:rush]
command = $memory grow 60
memory_max = 128M
policy = short
shim = off
END
(cgroup_exec "$spillway" run "$TAP_DIR/rush.ini") >"$out" 2>"$log" &
pid=$!
at_exit kill -9 $pid
tap_ok "the service is up" wait_until 30 said small "$out"
tap_ok "memory.high is not set before there is need" high_is_max
child=$(pgrep -P "$pid" -f "^$memory grow")
kill -USR1 "$child"
tap_ok "near the wall memory.high is set" wait_until 30 high_is_set
tap_ok "the log says why and for how long" wait_until 5 \
  said 'rush: brake on: .* the wall of 128M; memory.high [0-9.]*M for at most 1000ms\|rush: brake on: headroom .* of 128M; memory.high [0-9.]*M for at most 1000ms' "$log"
kill -USR1 "$child"
tap_ok "when it has stopped growing the brake comes off" wait_until 30 high_is_max
tap_ok "the service was not killed" wait_until 30 said held "$out"
tap_is "nobody was" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_diag "$(grep 'brake' "$log" | cut -c 1-200 | head -n 10)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
