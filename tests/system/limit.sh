#!/bin/bash
# A reload that lowers memory_max below what a service holds idle gets that back first: nobody is killed.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new limit || tap_skip_all "$CGROUP_WHY"
cgroup_v2 "$CGROUP_MEMORY" || tap_skip_all "there is no leaf with a limit on cgroup v1"
log=$TAP_DIR/log
out=$TAP_DIR/out
leaf=$CGROUP_MEMORY/web
IDLE_MIB=160

# limit SIZE: nothing goes back before it is asked for.
limit() {
  cat >"$TAP_DIR/web.ini" <<INI
[policy:default]
scavenge = off
[service:web]
command = $memory idle $IDLE_MIB 2 10000
memory_max = $1
INI
}

max_is() {
  [ "$(cat "$leaf/memory.max")" = $(($1 << 20)) ]
}

limit 512M
(cgroup_exec "$spillway" run "$TAP_DIR/web.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the service is up" wait_until 60 said empty "$out"
child=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$child"
tap_ok "it holds idle memory" wait_until 60 said '^idle' "$out"
tap_diag "usage $(cat "$leaf/memory.current")"
tap_ok "more than the new limit" [ "$(cat "$leaf/memory.current")" -gt $((64 << 20)) ]
limit 64M
kill -HUP "$pid"
tap_ok "the lower limit is set" wait_until 60 max_is 64
tap_diag "$(grep 'web: ' "$log" | cut -c 1-200 | tail -n 5)"
tap_ok "the log says so" wait_until 60 said 'web: memory.max is 64M now' "$log"
tap_is "the service is still there" "$(pgrep -P "$pid" -f "^$memory idle")" "$child"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
limit 512M
kill -HUP "$pid"
tap_ok "a higher limit is set as well" wait_until 60 max_is 512
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
