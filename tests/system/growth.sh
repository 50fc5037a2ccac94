#!/bin/bash
# A service that grows towards its wall is met by every level in order, and is not killed.
. "$(dirname "$0")/../support/system.sh"
cgroup_new growth || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=256
IDLE_MIB=64
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

said() {
  grep -q "$1" "$2"
}

gave_back() {
  said '^idle' "$out" && [ "$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$idler/status")" -lt $((IDLE_MIB << 10 >> 2)) ]
}

said_both() {
  said empty "$out" && said small "$out"
}

# The number of the first line that has it.
line_of() {
  grep -n "$1" "$log" | head -n 1 | cut -d : -f 1
}

# One process sits on idle memory, the other grows: what comes back is the first one's.
cat >"$TAP_DIR/two.ini" <<END
[service:idle]
command = $memory idle $IDLE_MIB 2 8
[service:grow]
command = $memory grow 10
END
(cgroup_exec "$spillway" run "$TAP_DIR/two.ini") >"$out" 2>"$log" &
pid=$!
at_exit kill -9 $pid
tap_ok "both services are up" wait_until 60 said_both
grower=$(pgrep -P "$pid" -f "^$memory grow")
idler=$(pgrep -P "$pid" -f "^$memory idle")
kill -USR1 "$idler" "$grower"
tap_ok "the level rises to full" wait_until 90 said 'grow: full (was' "$log"
kill -USR1 "$grower"
tap_ok "the service was still there to be told to stop growing" wait_until 10 said held "$out"
lazy=$(line_of 'grow: lazy (was calm)')
eager=$(line_of 'grow: eager (was lazy)')
full=$(line_of 'grow: full (was eager)')
tap_diag "$(grep '(was \|brake\|idle: ' "$log" | cut -c 1-230 | head -n 20)"
tap_ok "lazy came first, eager next, full last" \
  [ "${lazy:-999}" -lt "${eager:-0}" -a "${eager:-999}" -lt "${full:-0}" ]
tap_ok "each decision says which number crossed which threshold" \
  said 'grow: lazy (was calm): \(headroom [0-9.]*[KMG]* < [0-9.]*[KMG]* of\|[0-9]*ms < [0-9]*ms to the\)' "$log"
tap_ok "the other service was asked" said 'idle: .*; asked .* of 1 process; returned ' "$log"
# At that request, or before it in the background.
tap_ok "its idle memory came back" wait_until 10 gave_back
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_ok "usage stayed below the limit" [ "$(cgroup_usage_bytes "$CGROUP_MEMORY")" -lt $((LIMIT_MIB << 20)) ]
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
