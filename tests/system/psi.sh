#!/bin/bash
# A PSI trigger on the service's own cgroup wakes the loop when the service stalls for memory.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new psi || tap_skip_all "$CGROUP_WHY"
[ -n "$CGROUP" ] && [ -e "$CGROUP/memory.pressure" ] || tap_skip_all "no memory.pressure in a cgroup of our own"
log=$TAP_DIR/log

said() {
  grep -q "$1" "$log"
}

# A trigger alone brings the service to lazy here: headroom and time to wall are switched off.
cat >"$TAP_DIR/stall.ini" <<END
[policy:stall]
lazy_headroom = off
lazy_time_to_wall = off
lazy_pressure = some 1% 2s
eager_headroom = off
eager_time_to_wall = off
eager_pressure = off
full_headroom = off
full_time_to_wall = off
full_pressure = off
brake = off
gate_wait = off
END
if cgroup_v2 "$CGROUP_MEMORY"; then
  # Growing over memory.high is paid for in stalls.
  cat >>"$TAP_DIR/stall.ini" <<END
[service:stall]
command = $memory hog 40
memory_high = 16M
policy = stall
END
else
  # A cache that is too small for the file is paid for in refaults.
  cgroup_limit "$CGROUP_MEMORY" $((24 << 20))
  dd if=/dev/zero of="$TAP_DIR/file" bs=1M count=64 2>/dev/null
  # Out of the cache, where it would count as ours.
  dd of="$TAP_DIR/file" oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null
  cat >>"$TAP_DIR/stall.ini" <<END
[service:stall]
command = $memory read $TAP_DIR/file
policy = stall
END
fi
"$spillway" check "$TAP_DIR/stall.ini" || exit 1
(cgroup_exec "$spillway" -v run "$TAP_DIR/stall.ini") >"$TAP_DIR/out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "it runs" wait_until 60 said 'mode '
if said 'no PSI triggers\|no stall of our own'; then
  tap_skip "the trigger wakes the loop" "$(grep -o 'mode .*' "$log" | head -n 1)"
else
  tap_ok "the trigger wakes the loop" wait_until 60 said ': memory.pressure trigger'
fi
if cgroup_v2 "$CGROUP_MEMORY"; then
  tap_ok "being over memory.high brings the service to lazy" \
    wait_until 60 said 'stall: lazy (was calm): \(stalled [0-9.]*% > 1.0% of the time in \|its memory.events high +\)'
else
  tap_skip "being over memory.high brings the service to lazy" "on v1 the full cache's hits on the limit come first"
fi
tap_diag "$(grep 'mode \|trigger\|(was' "$log" | head -n 8 | cut -c 1-220)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
