#!/bin/bash
# A limit above all services that somebody else cuts to 60 %, below what they use, is met by giving idle
# memory back; nobody is killed.  ROUNDS: how often.  It is cut as it can be, again and again and just
# above the usage: below it v2 kills in the same moment, and v1 refuses.
# Levels change six times a minute at most, so from the third round on memory may go lazily, which the
# usage does not show.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new wall || tap_skip_all "$CGROUP_WHY"
ROUNDS=${ROUNDS:-2}
LIMIT_MIB=256
CUT_MIB=$((LIMIT_MIB * 60 / 100))
IDLE_MIB=85
DEADLINE_MS=5000
STEP_BYTES=$((1 << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

cut_is_met() {
	local bytes=$((CUT_MIB << 20))
	cgroup_read_usage "$CGROUP_MEMORY" || return
	[ "$TAP_USAGE_BYTES" -lt $bytes ] || bytes=$((TAP_USAGE_BYTES + STEP_BYTES))
	# v1 refuses where it has grown since.
	cgroup_limit "$CGROUP_MEMORY" $bytes 2>/dev/null && [ $bytes -eq $((CUT_MIB << 20)) ]
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
(cgroup_exec "$spillway" -vv run "$TAP_DIR/wall.ini") >"$out" 2>"$log" </dev/null &
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
	wait_until 60 cut_is_met || break
	took_ms=$(($(now_ms) - begin_ms))
	[ $took_ms -le $longest_ms ] || longest_ms=$took_ms
	cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
done
tap_is "the cut was met every time" $((round - 1)) "$ROUNDS"
tap_diag "the longest took $longest_ms ms (deadline $DEADLINE_MS ms)"
tap_ok "the supervisor was told of each, and does not find it by looking" \
	times_said 'a limit was written' "$log" "$ROUNDS"
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
tap_is "both are the same processes" "$(pgrep -P "$pid" -f "^$memory idle" | tr '\n' ' ')" "$(printf '%s ' "${both[@]}")"
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
