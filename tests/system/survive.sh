#!/bin/bash
# Workers whose bursts hardly fit do not stand still near their limit: they come to their end, with no kill,
# and that nothing idle is left is said once.
. "$(dirname "$0")/../support/system.sh"
cgroup_new survive || tap_skip_all "$CGROUP_WHY"
log=$TAP_DIR/log
out=$TAP_DIR/out
burst=$BUILD/tests/bench/survival/burst
[ -x "$burst" ] || {
  echo "Bail out! $burst is not built"
  exit 1
}

# At most 153 MiB are live at once.  1.15 times as much was seen to be enough, with the rounding of
# blocks to size classes and the processes themselves.
cgroup_limit "$CGROUP_MEMORY" $((195 << 20))
(cgroup_exec "$spillway" -- "$burst" 4 1 70 mixed 3) >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"

has_ended() {
  ! kill -0 "$pid" 2>/dev/null
}

tap_ok "the run comes to its end" wait_until 120 has_ended
wait "$pid"
tap_is "as it should" $? 0
tap_ok "all was done" said '^peak ' "$out"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_is "that nothing idle is left is said once" "$(grep -c 'no idle memory is left' "$log")" 1
tap_diag "$(cat "$out"; grep 'no idle\|in all' "$log" | cut -c 1-330)"
tap_done
