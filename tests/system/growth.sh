#!/bin/bash
# A service that grows towards its wall is met by every level in order, and is not killed.
# kernels: 6.12
. "$(dirname "$0")/../support/system.sh"
cgroup_new growth || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=256
IDLE_MIB=64
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

# What it has that the kernel cannot take back by itself.
kept_mib() {
  awk '$1 == "Rss:" { kib += $2 } $1 == "LazyFree:" { kib -= $2 } END { print int(kib / 1024) }' \
    "/proc/$1/smaps_rollup"
}

gave_back() {
  [ "$(kept_mib "$idler")" -lt $((IDLE_MIB / 4)) ]
}

said_both() {
  said empty "$out" && said small "$out"
}

# The number of the first line that has it.
line_of() {
  grep -n "$1" "$log" | head -n 1 | cut -d : -f 1
}

# One process sits on idle memory, the other grows: what comes back is the first one's, and only since
# it was asked.  Growth in steps has a speed that depends on the load of the machine, so levels by
# headroom only.
cat >"$TAP_DIR/two.ini" <<END_INI
[policy:default]
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
lazy_pressure = off
eager_pressure = off
full_pressure = off
hold = 10m
scavenge = off
[service:idle]
command = $memory idle $IDLE_MIB 2 10000
[service:grow]
command = $memory grow $STEP_MIB
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "both services are up" wait_until 60 said_both
grower=$(pgrep -P "$pid" -f "^$memory grow")
idler=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$idler"
tap_ok "one of them holds idle memory" wait_until 60 said '^idle' "$out"
tap_ok "growth raises the level" grows_until_said "$grower" $((LIMIT_MIB * 3 / 4 - IDLE_MIB - 8)) $LIMIT_MIB 'grow: lazy (was calm)'
tap_ok "each decision says which number crossed which threshold" \
  said 'grow: lazy (was calm): headroom [0-9.]*[KMG]* < [0-9.]*[KMG]* of' "$log"
tap_ok "the other service was asked" wait_until 60 said 'idle: .*; asked .* of 1 process; returned ' "$log"
tap_ok "its idle memory came back" wait_until 60 gave_back
tap_ok "the level rises to full" grows_until_said "$grower" $((LIMIT_MIB * 13 / 16)) $LIMIT_MIB 'grow: full (was '
lazy=$(line_of 'grow: lazy (was calm)')
eager=$(line_of 'grow: eager (was lazy)')
full=$(line_of 'grow: full (was eager)')
tap_diag "$(grep '(was \|brake\|idle: ' "$log" | cut -c 1-230 | head -n 20)"
tap_ok "lazy came first, eager next, full last" \
  [ "${lazy:-999}" -lt "${eager:-0}" -a "${eager:-999}" -lt "${full:-0}" ]
tap_is "the service is still there" "$(pgrep -P "$pid" -f "^$memory grow")" "$grower"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_ok "usage stayed below the limit" [ "$(cgroup_usage_bytes "$CGROUP_MEMORY")" -lt $((LIMIT_MIB << 20)) ]
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
