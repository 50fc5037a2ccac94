#!/bin/bash
# In calm the supervisor wakes up once a second at the most, with a limit within reach of a burst, and less
# often the longer nothing happens where there is none.
# kernels: 6.1
. "$(dirname "$0")/../support/system.sh"
cgroup_new rests || tap_skip_all "$CGROUP_WHY"
UNLIMITED=$CGROUP_MEMORY UNLIMITED_PSI=$CGROUP
cgroup_new calm || tap_skip_all "$CGROUP_WHY"
LIMIT_MIB=256
SECONDS_WATCHED=10
cgroup_limit "$CGROUP_MEMORY" $((LIMIT_MIB << 20))
log=$TAP_DIR/log
out=$TAP_DIR/out
# At rest from the start, beside the other one, and deaf to the stall of others on the machine.
REST_WAKES=5
REST_ROOM_KB=$((16 << 20))
cat >"$TAP_DIR/rests.ini" <<END_INI
[policy:default]
lazy_pressure = off
eager_pressure = off
full_pressure = off
[service:rests]
command = sleep 100
END_INI
(
	CGROUP_MEMORY=$UNLIMITED CGROUP=$UNLIMITED_PSI
	cgroup_exec "$spillway" -q run "$TAP_DIR/rests.ini"
) >"$TAP_DIR/rests" 2>&1 &
rests=$!
at_exit_kill "$rests"
cat >"$TAP_DIR/calm.ini" <<END_INI
[service:one]
command = $memory grow 1
[service:two]
command = $memory grow 1
END_INI
(cgroup_exec "$spillway" run "$TAP_DIR/calm.ini") >"$out" 2>"$log" &
pid=$!
at_exit_kill "$pid"
tap_ok "both services are up" wait_until 60 times_said small "$out" 2

# What it does for a start is over after two looks.
supervisor_looks "$pid"
read_sleeps "$rests"
rests_before=$SLEEPS
read_sleeps "$pid"
before=$SLEEPS
begin=$(date +%s%3N)
sleep $SECONDS_WATCHED
read_sleeps "$pid"
passed_ms=$(($(date +%s%3N) - begin))
wakes=$((SLEEPS - before))
tap_diag "$wakes wake-ups in $passed_ms ms"
# One may have been due as the time began, and one as it ended.
tap_ok "it wakes up once a second at the most" [ "$wakes" -le $((passed_ms / 1000 + 2)) ]
tap_ok "and does look" [ "$wakes" -ge 1 ]
read_sleeps "$rests"
wakes=$((SLEEPS - rests_before))
kill -TERM "$rests"
wait "$rests"
name="with much room it wakes up $wakes times, at most $REST_WAKES"
if [ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -lt $REST_ROOM_KB ] || [ -n "${SPILLWAY_VM:-}" ]; then
	tap_skip "$name" "the machine has too little memory"
else
	tap_ok "$name" [ "$wakes" -le $REST_WAKES ]
fi
tap_is "no level changed" "$(grep -c '(was ' "$log")" 0
kill -TERM "$pid"
wait "$pid"
tap_is "it stops cleanly" $? 0
tap_done
