#!/bin/bash
# Workers whose bursts hardly fit do not stand still near their limit: they come to their end, with no kill.
# That nothing idle is left is said once.
# kernels: 6.12
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
(cgroup_exec "$spillway" -v -- "$burst" 4 1 70 mixed 3) >"$out" 2>"$log" &
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
tap_diag "$(cat "$out"; grep 'no idle\|in all' "$log" | cut -c 1-330)"

# All of it is live: it grows on into what is kept back for others, since nobody can give anything.
STEP_MIB=1
LIMIT_MIB=96
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
cat >"$TAP_DIR/live.ini" <<END_INI
[policy:default]
brake = off
[service:live]
command = $memory grow $STEP_MIB
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/live.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
wait_until 60 said '^small' "$out"
grower=$(pgrep -P "$pid" -f "^$memory grow")
grown_mib=0
tap_ok "growth that nobody can serve is concluded" \
  grows_until_said "$grower" $((LIMIT_MIB * 3 / 4)) $LIMIT_MIB 'no idle memory is left'
tap_ok "and goes on into what was kept back" grow "$grower" 0
tap_is "it was said once, with the reason" \
  "$(grep -c 'live: no idle memory is left below .*: [0-9.]*M of [0-9.]*M are live memory' "$log")" 1
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_diag "$(grep 'no idle' "$log" | cut -c 1-330)"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
