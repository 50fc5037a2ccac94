#!/bin/bash
# A service of lower priority stands still while others give back, for a time, and goes on whoever dies.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new freeze || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there is no cgroup.freeze on cgroup v1"
LIMIT_MIB=128
STEP_MIB=2
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out
leaf=$CGROUP_MEMORY/bulk

is_frozen() {
  [ "$(cat "$leaf/cgroup.freeze")" = 1 ] && grep -q 'frozen 1' "$leaf/cgroup.events"
}

is_thawed() {
  [ "$(cat "$leaf/cgroup.freeze")" = 0 ] && grep -q 'frozen 0' "$leaf/cgroup.events"
}

# begin FREEZE: web counts for more than bulk, and both grow when they are told to.  Only headroom
# counts, and no brake keeps bulk from growing.
begin() {
  cat >"$TAP_DIR/freeze.ini" <<INI
[policy:default]
scavenge = off
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
brake = off
[service:web]
command = $memory grow $STEP_MIB
[service:bulk]
command = $memory grow $STEP_MIB
memory_priority = 10
shim = off
freeze = $1
INI
  (cgroup_exec "$spillway" run "$TAP_DIR/freeze.ini") >"$out" 2>"$log" &
  pid=$!
  at_exit_kill "$pid"
  tap_ok "freeze = $1: the services are up" wait_until 60 times_said small "$out" 2
  bulk=$(pgrep -P "$pid" -f "^$memory grow" | while read -r child; do
    grep -q '/bulk$' "/proc/$child/cgroup" && echo "$child"
  done)
  web=$(pgrep -P "$pid" -f "^$memory grow" | grep -vx "$bulk")
}

# Both grow in turn, near the limit by one step for each look of the supervisor.
grows_until() { # COMMAND...
  local far_mib=$((LIMIT_MIB * 3 / 4))
  grown_mib=0
  until "$@"; do
    [ $grown_mib -lt $LIMIT_MIB ] || return 1
    before=$(grep -c grown "$out")
    kill -USR1 "$bulk"
    # Unless it is frozen meanwhile.
    wait_until 5 times_said grown "$out" $((before + 1))
    grow "$web" $far_mib
    grown_mib=$((grown_mib + STEP_MIB))
    [ $grown_mib -lt $far_mib ] || supervisor_looks "$pid" || return 1
  done
}

end() {
  tap_is "freeze = $1: nobody was killed" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
  kill -TERM "$pid"
  wait "$pid"
  tap_is "freeze = $1: it stops cleanly" $? 0
}

begin no
tap_ok "freeze = no: headroom falls below the last threshold" grows_until said 'web: full' "$log"
tap_ok "freeze = no: bulk is left alone" eval "! said 'bulk: frozen' '$log'"
end no

begin yes
tap_ok "freeze = yes: bulk is frozen, which is said" grows_until said \
  'bulk: frozen for at most 500ms, as web needs memory that others give back: ' "$log"
tap_ok "freeze = yes: it goes on, which is said" wait_until 60 said 'bulk: thawed after [0-9]*ms: ' "$log"
tap_ok "freeze = yes: and it does" wait_until 60 is_thawed
tap_ok "freeze = yes: web was not" eval "! said 'web: frozen' '$log'"
tap_diag "$(grep 'frozen\|thawed' "$log" | cut -c 1-220 | head -n 6)"
end yes

# For so long that it stays frozen until it was seen.
begin 1m
tap_ok "a stop: bulk is frozen" grows_until is_frozen
end 1m
tap_ok "a stop: it did not wait for the deadline" eval "! said 'killed' '$log'"

begin 1m
tap_ok "a killed supervisor: bulk is frozen" grows_until is_frozen
kill -KILL "$pid"
wait "$pid"
tap_ok "a killed supervisor: bulk goes on" wait_until 60 is_thawed
tap_ok "a killed supervisor: and lives" kill -0 "$bulk"
kill -KILL "$bulk" "$web"
tap_done
