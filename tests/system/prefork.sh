#!/bin/bash
# Forked workers that freed what they inherited are asked for it with their parent, while they sleep.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
cgroup_new prefork || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=320
LOAD_MIB=48
STEP_MIB=4
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out

rss_mib() {
	awk '$1 == "Rss:" { print int($2 / 1024) }' "/proc/$1/smaps_rollup"
}

gave_back() {
	[ "$(rss_mib "$1")" -lt $((LOAD_MIB / 4)) ]
}

# What idles stays until it is asked for, and levels go by headroom, whatever the speed of the machine.
cat >"$TAP_DIR/prefork.ini" <<END_INI
[policy:default]
lazy_time_to_wall = off
eager_time_to_wall = off
full_time_to_wall = off
lazy_pressure = off
eager_pressure = off
full_pressure = off
hold = 10m
lazy_headroom = 45%
eager_headroom = 42%
full_headroom = 40%
scavenge = off
[service:prefork]
command = $memory prefork $LOAD_MIB 2 $STEP_MIB
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/prefork.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "the workers have freed what they inherited" wait_until 60 times_said idle "$out" 2
parent=$(pgrep -P "$pid" -f "^$memory prefork")
tap_ok "parent and workers are asked when the parent grows" grows_until_said "$parent" \
	$((LIMIT_MIB / 2 - 3 * LOAD_MIB)) $LIMIT_MIB 'full (was .*; asked all of 3 processes; returned'
tap_diag "$(grep 'asked ' "$log" | cut -c 1-200 | head -n 5)"
for worker in $(pgrep -P "$parent"); do
	tap_ok "a worker gives back what it freed" wait_until 60 gave_back "$worker"
done
tap_is "the kernel killed nobody" "$(cgroup_oom_kills "$CGROUP_MEMORY")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
