#!/bin/bash
# What grows for ever, and may be ended as the last resort, is ended before the kernel kills anybody.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new last || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=128
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

# begin WHAT: the hog has the usual priority and the other one less, but may not be ended.
begin() {
  cat >"$TAP_DIR/last.ini" <<INI
[service:keep]
command = $memory grow 4
memory_priority = 1
[service:hog]
command = $memory hog 10
shim = off
last_resort = $1
INI
  (cgroup_exec "$spillway" run "$TAP_DIR/last.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "$1: the services are up" wait_until 60 said '^small' "$out"
  keep=$(pgrep -P "$pid" -f "^$memory grow")
}

end() {
  tap_diag "$(grep 'last resort\|brake on' "$log" | cut -c 1-220 | tail -n 5)"
  tap_is "$1: the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
  tap_is "$1: the other service lives on" "$(pgrep -P "$pid" -f "^$memory grow")" "$keep"
  kill -TERM "$pid"
  wait "$pid"
  tap_is "$1: it stops cleanly" $? 0
}

begin stop
tap_ok "stop: it is said before, with the numbers" wait_until 120 said \
  "hog: last resort: stop: .* shared \(wall of \)\?[0-9]*M; \(shared \)\?memory.current [0-9.]*M (its heaps: live 0, idle 0)" "$log"
tap_ok "stop: and after" wait_until 60 said "hog: last resort: it ended after [0-9]*ms; all services use " "$log"
tap_is "stop: it stays down" "$(pgrep -P "$pid" -f "^$memory hog")" ""
end stop

begin restart
hog=$(pgrep -P "$pid" -f "^$memory hog")
tap_ok "restart: it is ended" wait_until 120 said "hog: last resort: it ended after " "$log"
is_started_again() {
  local now
  now=$(pgrep -P "$pid" -f "^$memory hog") && [ "$now" != "$hog" ]
}
tap_ok "restart: and started again" wait_until 60 is_started_again
end restart
tap_done
