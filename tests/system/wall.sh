#!/bin/bash
# A limit above all services that somebody else cuts to 60 % is met by giving idle memory back; nobody
# is killed.  ROUNDS: how often.  Levels change six times a minute at most, so from the third round
# on memory may go lazily, which the usage does not show.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new wall || tap_skip_all "$CGROUP_WHY"
ROUNDS=${ROUNDS:-2}
LIMIT_MIB=256
CUT_MIB=$((LIMIT_MIB * 60 / 100))
IDLE_MIB=60
DEADLINE_MS=5000
log=$TAP_DIR/log
out=$TAP_DIR/out

# The limit as it has to be kept: what lies idle is given back down to the eager headroom below it.
below_wall() {
	cgroup_read_usage "$CGROUP_MEMORY" && [ "$TAP_USAGE_BYTES" -le $((CUT_MIB * 80 / 100 << 20)) ]
}

cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
cat >"$TAP_DIR/wall.ini" <<INI
[policy:default]
scavenge = off
lazy_headroom = off
lazy_time_to_wall = off
eager_headroom = 20%
eager_time_to_wall = off
full_time_to_wall = off
hold = 1s
[service:one]
command = $memory idle $IDLE_MIB 2 10000
[service:two]
command = $memory idle $IDLE_MIB 2 10000
INI
(cgroup_exec "$spillway" run "$TAP_DIR/wall.ini") >"$out" 2>"$log" </dev/null &
pid=$!
at_exit_kill "$pid"
tap_ok "both run" wait_until 60 times_said empty "$out" 2
mapfile -t both < <(pgrep -P "$pid" -f "^$memory idle")
longest_ms=0
for ((round = 1; round <= ROUNDS; round++)); do
	kill -USR1 "${both[@]}"
	wait_until 60 times_said idle "$out" $((2 * round)) || break
	supervisor_looks "$pid"
	begin_ms=$(now_ms)
	cgroup_limit "$CGROUP_MEMORY" $((CUT_MIB << 20)) || break
	wait_until 60 below_wall || break
	took_ms=$(($(now_ms) - begin_ms))
	[ $took_ms -le $longest_ms ] || longest_ms=$took_ms
	cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
done
tap_is "the cut was met every time" $((round - 1)) "$ROUNDS"
tap_diag "the longest took $longest_ms ms (deadline $DEADLINE_MS ms)"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_is "both are the same processes" "$(pgrep -P "$pid" -f "^$memory idle" | tr '\n' ' ')" "$(printf '%s ' "${both[@]}")"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
